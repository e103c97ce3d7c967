// SPDX-License-Identifier: MIT
//
// What a session keeps for its lane: how much of what was sent has arrived, whether the other end is alive,
// and how far HELLO and an exchange of tables have come.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "session/frames.hpp"
#include "session/lane_window.hpp"
#include "session/liveness.hpp"
#include "session/receive_side.hpp"

namespace zks::session {

inline constexpr std::uint64_t kLaneAckEvery = 256 * 1024;
// This much is acknowledged as soon as the last LANE_ACK is so old: the sender's LaneWindow measures by it.
inline constexpr std::uint64_t kLaneAckLeast = 16 * 1024;
inline constexpr std::chrono::milliseconds kLaneAckPause{5};
inline constexpr std::uint64_t kMaxLaneBytes = 12 * 1024 * 1024;
inline constexpr std::uint64_t kUrgentBytes = 1024 * 1024;  // PING, PONG, LANE_ACK, CREDIT may exceed by this
// A record of 64 KiB less the WebSocket header: four full TLS records, and large enough that the cost of a
// record (one AEAD setup, one wake-up at the relay) does not count. The largest datagrams need a little more.
inline constexpr std::size_t kUsualFrames = 64 * 1024 - 16 - 17;
inline constexpr std::size_t kMostFrames = kMaxDatagram + kMaxDatagramHeader;

struct LaneOptions {
  LaneNumber number = 1;
  // What HELLO asks for, or WELCOME answers. After kResume neither side sends stream frames before it has the
  // other's whole table; kJoin is one more lane beside those that there are.
  HelloMode mode = HelloMode::kNew;
  std::uint64_t relay_window_bytes = 16 * 1024 * 1024;  // as `paired` announced it
  std::size_t record_overhead = 17;                     // bytes that a record is longer than its frames
};

struct LaneState {
  LaneOptions options;
  Liveness liveness;

  // Sent and not acknowledged stays within limit(), in record bytes.
  std::uint64_t sent_bytes = 0;
  std::uint64_t acknowledged_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t acknowledged_to_peer = 0;
  TimePoint acknowledged_at{};           // when the last LANE_ACK was sent
  TimePoint ack_due = TimePoint::max();  // owe_ack then, if not before
  LaneWindow window{kMaxLaneBytes};      // for bulk; the rest goes by limit() alone
  bool paced = false;                    // bulk waits for window.open_at()

  bool hello_sent = false;
  bool hello_received = false;
  bool owe_ack = false;
  bool credit_said =
      false;  // since anything came: more data, or an answer to a PING, will show that it arrived

  // An exchange of tables, after which streams of dead lanes go on here; one at a time.
  bool owe_table = false;
  bool await_table = false;
  bool resuming = false;             // it is about all streams, and nothing else goes on before its end
  bool ignore_tables = false;        // exit: they are of a session that it does not know
  bool owe_lane_down = false;        // client: `declared`; exit: all that it knows to be dead
  std::vector<LaneNumber> declared;  // client: the dead lanes that the exchange is about
  bool told_goaway = false;

  bool exchanging() const { return owe_table || await_table; }
  bool streams_held() const { return !hello_sent || resuming; }
  // Streams may be bound to it. A client has to know that the exit took its joining lane.
  bool usable() const { return options.mode != HelloMode::kJoin || hello_received; }
  // Bytes of datagrams that went out ahead of streams that had something to send, too (DatagramTurn).
  std::int64_t datagram_lead = 0;

  std::uint64_t limit() const { return std::min(options.relay_window_bytes / 4 * 3, kMaxLaneBytes); }
  std::uint64_t unacknowledged() const { return sent_bytes - acknowledged_bytes; }
};

}  // namespace zks::session
