// SPDX-License-Identifier: MIT
//
// A connection over a path with a delay and a rate, as two carriers: what is written at one end arrives at
// the other when it has passed both. What is not yet read waits in the kernels between, a quarter of a second
// of the path's rate, and then the writer waits, so that a slow reader and a slow path are felt.
//
// Executor: one. Lifetime: shared by both carriers and the test's hand on it.
#pragma once

#include <chrono>
#include <memory>

#include "carrier/carrier.hpp"

namespace zks::sim {

namespace asio = boost::asio;

struct Path {
  std::chrono::milliseconds delay{0};  // one way
  std::uint64_t bytes_per_second = std::uint64_t{1} << 40;
};

// The test's hand on a link; usable after both carriers died.
class Link {
 public:
  static constexpr std::size_t kLeastBufferBytes = 16 * 1024;  // each way
  static constexpr std::size_t kMostBufferBytes = 256 * 1024;

  virtual ~Link() = default;
  virtual void stall(bool on) = 0;  // while on, nothing is read at either end
  virtual void cut() = 0;           // both ends see kClosed with code 0; what is on its way is lost
  virtual bool is_cut() const = 0;
};

struct LinkEnds {
  carrier::CarrierPtr first;
  carrier::CarrierPtr second;
  std::shared_ptr<Link> link;
};

LinkEnds make_link(asio::any_io_executor executor, const Path& path);

}  // namespace zks::sim
