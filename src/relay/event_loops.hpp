// SPDX-License-Identifier: MIT
//
// The relay's event loops, each an io_context on a thread of its own. The main thread keeps another one for
// signals.
//
// Sockets of different loops know each other, so a loop that has ended may still be sent something. finish()
// runs that as well: what is left unrun would keep objects of one loop alive in another while it is
// destroyed.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace zks::relay {

class EventLoops {
 public:
  explicit EventLoops(std::size_t count);
  EventLoops(const EventLoops&) = delete;
  EventLoops& operator=(const EventLoops&) = delete;
  ~EventLoops() { finish(); }

  std::vector<boost::asio::any_io_executor> executors();

  // Starts the threads. `failed` is called, on a loop's thread, for an exception that came out of a loop,
  // which goes on after it, unless it was lack of memory: that costs the connection which lacked it.
  // `finished` when the last loop ended.
  void run(std::function<void(std::exception_ptr)> failed, std::function<void()> finished);
  // Each loop ends once it has nothing left to do.
  void release();
  // Each loop ends now, with whatever it has left to do.
  void cut();
  // release(), waits for all of them, and runs what they sent each other last.
  void finish();

 private:
  bool run_leftovers();
  void run_one(boost::asio::io_context& loop);

  std::vector<std::unique_ptr<boost::asio::io_context>> loops_;
  std::vector<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> guards_;
  std::vector<std::thread> threads_;
  std::function<void(std::exception_ptr)> failed_;
  std::function<void()> finished_;
  std::atomic<std::size_t> running_{0};
};

}  // namespace zks::relay
