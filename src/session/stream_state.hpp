// SPDX-License-Identifier: MIT
//
// One stream in the session's table, from OPEN until DONE went both ways. After a reset, or when all is said,
// it stays as a tombstone with empty buffers.
#pragma once

#include <cstdint>

#include "session/frames.hpp"
#include "session/receive_side.hpp"
#include "session/send_side.hpp"

namespace zks::session {

struct StreamState {
  enum class Phase : std::uint8_t { kOpening, kOpen, kReset };
  enum class Turn : std::uint8_t { kNone, kFresh, kBusy };

  StreamId id = 0;
  Phase phase = Phase::kOpening;
  bool ours = false;        // we sent OPEN
  Destination address;      // ours: the destination; theirs, once open: the bound address
  ListenerId listener = 0;  // exit, ours: that somebody at `address` connected to
  ResetCode reset_code = ResetCode::kCancelled;

  SendSide send;
  ReceiveSide receive;

  LaneNumber lane = 0;  // that it is bound to, alive or not; 0 until there is one
  bool moving = false;  // its lane died and the tables are on their way: it waits

  // Frames owed to the peer.
  bool owe_open = false;
  bool owe_opened = false;
  bool owe_reset = false;
  bool owe_done = false;
  bool in_control = false;   // stands in the control queue of its lane
  bool in_credits = false;   // stands in the credit queue of its lane
  bool lazy_credit = false;  // stands in Streams::lazy_credits_: consumed bytes to tell soon

  bool done_sent = false;
  bool done_received = false;
  bool in_peer_table = false;  // the table that is coming has named it

  // Deficit round robin.
  Turn turn = Turn::kNone;
  std::int64_t deficit = 0;

  // What the application waits for.
  bool wants_room = false;
  bool wants_bytes = true;

  TimePoint moved_at{};  // when a byte of it last went on, in either direction

  // Whoever opened it has said its end, and is perhaps gone: a program that closed its socket looks like one
  // that only shut its sending side down.
  bool half_closed() const {
    return phase == Phase::kOpen && !over() && (ours ? send.finished() : receive.ended());
  }

  bool over() const { return phase == Phase::kReset || (send.acknowledged() && receive.ended()); }
};

}  // namespace zks::session
