// SPDX-License-Identifier: MIT
//
// Time that goes on only when nothing is left to do: this program defines steady_clock::now() itself, and
// what sets the kernel's timer, by which Asio would wait. So all timers and deadlines of all that is linked
// with it go by it: a minute takes some milliseconds, and what happens follows from the seed
// (seeded_random.hpp).
//
// One thread, one loop. Real sockets and threads have no part in it: a timer does not wait for them.
#pragma once

#include <chrono>
#include <functional>

#include <boost/asio/io_context.hpp>

namespace zks::sim {

class VirtualTime {
 public:
  // Runs what is ready, then what is due next, and so on, until `done` says so. False: `limit` is
  // over before.
  static bool run(boost::asio::io_context& loop, const std::function<bool()>& done,
                  std::chrono::milliseconds limit);
  static void run_for(boost::asio::io_context& loop, std::chrono::milliseconds duration);
  // Until no handler and no timer is left. False: some are, after `limit`.
  static bool run_out(boost::asio::io_context& loop, std::chrono::milliseconds limit);
};

}  // namespace zks::sim
