// SPDX-License-Identifier: MIT
//
// Two carriers joined in memory, for tests: what one writes the other reads. The pipe between them is bounded
// and can stall or cut at a chosen moment, so that whole paths are tested without a socket.
#pragma once

#include <utility>

#include "carrier/carrier.hpp"

namespace zks::carrier {

// The test's hand on a memory pair. Shared with both ends; usable after they died.
class MemoryLink {
 public:
  virtual ~MemoryLink() = default;
  virtual void stall(bool on) = 0;  // while on, nothing is delivered either way
  virtual void cut() = 0;           // both ends see kClosed with code 0; undelivered messages are lost
  virtual std::size_t delivered_messages() const = 0;
};

struct MemoryPair {
  CarrierPtr first;
  CarrierPtr second;
  std::shared_ptr<MemoryLink> link;
};

// `queue_messages`: how many messages a direction holds before write() waits.
MemoryPair make_memory_pair(asio::any_io_executor executor, std::size_t queue_messages = 2);

}  // namespace zks::carrier
