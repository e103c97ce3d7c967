// SPDX-License-Identifier: MIT
//
// How far datagrams, and requests like them, may go in a record that is being composed. They go before
// streams, but where both have something to send they take turns: a lane lends them kMaxDatagramLead, and the
// streams' bytes pay it back (session_fill.cpp).
#pragma once

#include <cstdint>

namespace zks::session {

inline constexpr std::int64_t kMaxDatagramLead = 32 * 1024;  // ahead of streams that have something to send

struct DatagramTurn {
  std::size_t usual = 0;      // up to where a record is filled, but for a datagram that is too large for that
  bool streams_wait = false;  // have something to send on this lane, too
  std::int64_t lead = 0;      // bytes of datagrams that went out ahead of them

  bool may_go_on() const { return !streams_wait || lead < kMaxDatagramLead; }
  void sent(std::size_t bytes) { lead += static_cast<std::int64_t>(bytes); }
};

}  // namespace zks::session
