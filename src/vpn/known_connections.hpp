// SPDX-License-Identifier: MIT
//
// Which connections the kernel behind the second device has, or had a moment ago (tcp_gate.hpp). Only their
// segments go there: to any other it would say RST in the name of a host that may not exist.
//
// Memory: those that are live, the caller's bound; kMaxEnded that are over, the one that was silent for
// longest makes room; kMaxStrays.
//
// Executor: the owner's. Lifetime: the owner's. The time is the caller's.
#pragma once

#include <chrono>
#include <list>
#include <unordered_map>

#include "vpn/addresses.hpp"

namespace zks::vpn {

// A connection: from a program here, to somewhere.
struct Pair {
  packet::Endpoint source;
  packet::Endpoint target;
  friend bool operator==(const Pair&, const Pair&) = default;
};
struct HashPair {
  std::size_t operator()(const Pair& pair) const {
    return HashEndpoint{}(pair.source) * 31 + HashEndpoint{}(pair.target);
  }
};

class KnownConnections {
 public:
  static constexpr std::size_t kMaxEnded = 16'384;
  static constexpr std::size_t kMaxStrays = 256;
  // Of silence. The kernel may still have data for a slow reader, or be in TIME_WAIT (RFC 9293: 2 MSL).
  static constexpr auto kEndedKept = std::chrono::minutes(4);
  using TimePoint = std::chrono::steady_clock::time_point;

  void begin(const Pair& pair);
  void end(const Pair& pair, TimePoint now);
  bool has(const Pair& pair, TimePoint now);

  // Data of a connection that is not known, noted the first time. True when the same came before: a
  // retransmission, so there is a connection from before the tunnel. A port scanner sends none.
  bool came_before(const Pair& pair, std::uint32_t sequence);

  std::size_t ended() const { return ended_.size(); }

 private:
  struct Entry {
    std::size_t live = 0;
    TimePoint used{};                  // of one that is over, as is `turn`
    std::list<Pair>::iterator turn{};  // in ended_
  };

  void forget_old(TimePoint now);

  std::unordered_map<Pair, Entry, HashPair> entries_;
  std::list<Pair> ended_;  // silent for longest first
  std::unordered_map<Pair, std::uint32_t, HashPair> strays_;
};

}  // namespace zks::vpn
