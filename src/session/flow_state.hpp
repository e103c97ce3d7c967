// SPDX-License-Identifier: MIT
//
// One flow in the session's table (flows.hpp), from FLOW_OPEN until either end closes it: a UDP
// socket at the exit, and here the datagrams that wait for a lane. Nothing waits for long: a datagram that is
// late is worse than one that is lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "session/frames.hpp"
#include "session/receive_side.hpp"

namespace zks::session {

inline constexpr auto kDatagramPatience = std::chrono::milliseconds(100);
// Of all flows of a session, each datagram counted with kDatagramCost. One flow may hold at most as much as
// the others have left free, so one that floods holds half and a new one always finds room.
inline constexpr std::size_t kMaxQueuedDatagramBytes = 1024 * 1024;
inline constexpr std::size_t kDatagramCost = 256;  // of a queue's entry, beside its bytes and its name

// A datagram, or word of one that could not be delivered.
struct FlowItem {
  Destination address;
  Bytes bytes;
  std::optional<IcmpError> error;
  TimePoint queued_at{};

  std::size_t cost() const { return kDatagramCost + bytes.size() + address.name.size(); }
};

struct FlowState {
  FlowId id = 0;
  LaneNumber lane = 0;    // that its frames go out on; 0 until there is one
  bool owe_open = false;  // client
  bool in_turn = false;   // stands in the queue of its lane
  std::deque<FlowItem> queue;
  std::size_t queued_bytes = 0;
};

// Datagrams of a session, both ways, and why some of them are lost.
struct FlowCounters {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t dropped_late = 0;     // waited kDatagramPatience for a lane
  std::uint64_t dropped_full = 0;     // kMaxQueuedDatagramBytes, or the flow's share of them
  std::uint64_t dropped_unknown = 0;  // came for a flow that is not there (any more)
};

}  // namespace zks::session
