// SPDX-License-Identifier: MIT
//
// One way of a link, sans-IO: packets go in with the time at which they came, and out at the time at which
// the far end has them. The model, in this order: a queue of so many bytes that drops what does not fit (tail
// drop), a transmitter of a constant rate, loss, a constant delay. Packets are never reordered.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

namespace zks::bench {

using Nanoseconds = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Nanoseconds>;
using Packet = std::vector<std::uint8_t>;  // from the IP header on

struct WayOptions {
  double rate_bit_s = 1e9;              // of IP packets; nothing is added for a link layer
  Nanoseconds delay{0};                 // propagation, one way
  double loss = 0;                      // share of packets, each for itself
  std::uint64_t queue_bytes = 1 << 18;  // what waits for the transmitter or is in it
};

struct WayCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t overflowed = 0;  // packets that the queue had no room for
  std::uint64_t lost = 0;
  std::uint64_t delivered = 0;
};

class Way {
 public:
  Way(const WayOptions& options, std::uint64_t seed) : options_(options), random_(seed) {}

  // `packet` has come to the queue. `now` never goes back.
  void arrive(Packet packet, TimePoint now);
  // When the next packet is due at the far end; none is on its way: nullopt. The time may be past.
  std::optional<TimePoint> next_due() const;
  // Takes that packet. Only when next_due() is a time.
  Packet take();

  const WayCounters& counters() const { return counters_; }
  // Bytes that wait for the transmitter at `now`, what it has yet to send of the present packet included.
  std::uint64_t queued_bytes(TimePoint now) const;

 private:
  struct OnItsWay {
    TimePoint due;
    Packet packet;
  };

  Nanoseconds time_to_send(std::uint64_t bytes) const;

  const WayOptions options_;
  std::mt19937_64 random_;
  TimePoint idle_at_{};  // when the transmitter has sent everything
  // In the order of their times. At most queue_bytes and what the rate moves within the delay.
  std::deque<OnItsWay> on_their_way_;
  WayCounters counters_;
};

}  // namespace zks::bench
