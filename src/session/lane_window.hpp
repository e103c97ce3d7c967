// SPDX-License-Identifier: MIT
//
// How much bulk a lane may have in flight: what the path carries in its smallest round trip and a little
// more, so that it does not wait in queues that nobody can overtake in (sockets' buffers, the relay's,
// routers'). By the delay that LANE_ACKs show, as TCP Vegas and FAST TCP do it (Wei et al., FAST TCP, 2006,
// equation 5): a window of `w` bytes whose round trip is longer than the smallest by `queueing` becomes
//
//   w * (smallest + target) / (smallest + queueing)
//
// once a round trip. The quotient of both is the delivery rate, so this is a rate times a time. On a path
// shorter than kShortPath what is measured is how late programs run, more than queues: there a fixed amount
// may be in flight. Sans-IO.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace zks::session {

class LaneWindow {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  // Not less, or the peer, which acknowledges 16 KiB, would leave too few round trips to measure.
  static constexpr std::uint64_t kLeastBytes = 64 * 1024;
  static constexpr std::uint64_t kFirstBytes = 512 * 1024;

  static constexpr Duration kShortPath = std::chrono::milliseconds(3);
  static constexpr std::uint64_t kShortPathBytes = 1024 * 1024;  // 2.8 Gbit/s for 3 ms

  explicit LaneWindow(std::uint64_t most_bytes)
      : most_(most_bytes), window_(std::min(most_bytes, kFirstBytes)) {}

  // Bytes that may be in flight when bulk is asked for more.
  std::uint64_t bytes() const;
  // Everything up to `sent` is out, of which the peer has acknowledged `acknowledged`, and bulk waits behind
  // it.
  void sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now);
  // Bulk had to wait for bytes().
  void held_back() { limited_ = true; }
  void acknowledged(std::uint64_t position, TimePoint now);
  // A round trip measured by PING.
  void round_trip(Duration sample, TimePoint now);

 private:
  struct Mark {
    std::uint64_t position;
    std::uint64_t in_flight;
    TimePoint sent_at;
  };
  struct Sample {
    Duration round_trip;
    std::uint64_t in_flight;
  };

  void measure(const Mark& mark, TimePoint now);
  void end_round(TimePoint now);
  bool is_short() const { return smallest_ && *smallest_ < kShortPath; }
  void adapt(const Sample& best);
  std::uint64_t clamped(double bytes) const;

  const std::uint64_t most_;
  std::uint64_t window_;
  std::deque<Mark> marks_;  // at most kMaxMarks
  std::uint64_t round_end_ = 0;
  std::optional<Sample> best_;       // of this round: the shortest round trip
  std::optional<Sample> last_best_;  // of the one before
  bool limited_ = false;
  int calm_rounds_ = 0;  // in a row, held back though there was no queue
  std::optional<Duration> smallest_;
  TimePoint smallest_seen_{};
  int probe_rounds_ = 0;  // left, with half of what the path holds, to see it without a queue of ours
  std::uint64_t probe_bytes_ = 0;
};

}  // namespace zks::session
