// SPDX-License-Identifier: MIT
//
// What the sockets of one loop count, for /metrics. Written on the loop's thread alone and read from any, so
// an addition is a load and a store, without a lock and without a locked instruction: forwarding pays two of
// them a message. status.hpp sums them up. Everything is of a fixed size: no count has a room or an address.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace zks::relay {

class Count {
 public:
  void add(std::uint64_t by = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// The codes with which sockets end that are told apart; peers may send any others.
inline constexpr std::array<std::uint16_t, 16> kCountedCodes = {
    0, 1000, 1001, 1002, 1006, 1007, 1008, 1009, 1012, 1013, 4000, 4403, 4404, 4409, 4410, 4413};
// The statuses of answers that are no upgrade.
inline constexpr std::array<unsigned, 10> kCountedStatuses = {200, 400, 403, 404, 410,
                                                              414, 421, 429, 431, 503};

struct Counters {
  enum Direction : std::size_t { kToExit = 0, kToClient = 1 };

  struct Forwarded {
    Count messages;
    Count bytes;
    void count(std::uint64_t of) {
      messages.add();
      bytes.add(of);
    }
  };

  std::array<Forwarded, 2> forwarded;
  Count connections;            // accepted
  Count handshake_timeouts;     // not in a room within --upgrade-timeout
  Count tls_failures;           // of TLS handshakes, other than by time
  Count request_failures;       // of connections that ended before a whole request, or sent something else
  Count registrations;          // that were taken
  Count registrations_refused;  // without a proof that the exit owns its room, or one that came too late
  Count knocks;
  Count pairs;  // that were joined
  Count keys;   // given to pairs after their first
  std::array<Count, kCountedStatuses.size() + 1> answers;
  std::array<std::array<Count, kCountedCodes.size() + 1>, 2> closes;  // by the peer, by us

  void count_answer(unsigned status) { answers[place(kCountedStatuses, status)].add(); }
  void count_close(std::uint16_t code, bool ours) { closes[ours ? 1 : 0][place(kCountedCodes, code)].add(); }

 private:
  // The last place is for all others.
  template <class Known, class Value>
  static std::size_t place(const Known& known, Value value) {
    std::size_t at = 0;
    while (at < known.size() && known[at] != value) ++at;
    return at;
  }
};

}  // namespace zks::relay
