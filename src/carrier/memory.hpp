// SPDX-License-Identifier: MIT
//
// Two carriers joined in memory, for tests: what one writes the other reads. The path between them is
// bounded, can have a delay and a rate, and can stall or break at a chosen moment, so that whole paths are
// tested without a socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>

#include "carrier/carrier.hpp"

namespace zks::carrier {

// Each way of it. What is not yet read waits in the queue, as in the kernels of a connection; while that is
// full, write() waits.
struct MemoryPath {
  std::size_t queue_messages = 2;
  std::size_t queue_bytes = std::numeric_limits<std::size_t>::max();
  std::chrono::milliseconds delay{0};
  std::uint64_t bytes_per_second = 0;  // 0: no bound
};

// The test's hand on a memory pair. Shared with both ends; usable after they died.
class MemoryLink {
 public:
  virtual ~MemoryLink() = default;
  virtual void stall(bool on) = 0;  // while on, nothing is delivered either way
  virtual void cut() = 0;           // both ends see kClosed with code 0; undelivered messages are lost
  virtual bool is_cut() const = 0;  // or closed
  virtual std::size_t delivered_messages() const = 0;
};

struct MemoryPair {
  CarrierPtr first;
  CarrierPtr second;
  std::shared_ptr<MemoryLink> link;
};

MemoryPair make_memory_pair(asio::any_io_executor executor, const MemoryPath& path = {});

}  // namespace zks::carrier
