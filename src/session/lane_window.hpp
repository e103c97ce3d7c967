// SPDX-License-Identifier: MIT
//
// How much bulk a lane may have in flight, and how fast it goes out: what the path carries in its smallest
// round trip and a little more, so that it does not wait in queues that nobody can overtake in (sockets'
// buffers, the relay's, routers'). As BBR does it (Cardwell et al., BBR: Congestion-Based Congestion Control,
// 2016), over LANE_ACKs instead of TCP's:
//
//   window = rate * (smallest + queue)        queue: half of the smallest, and more on a path that stalls
//
// `rate` is the best delivery rate of the last eight round trips, each measured so that acknowledgements that
// come in a heap do not count for more than was sent. Bulk is also paced, by the rate: a lost segment on the
// way makes the peer acknowledge all that stood behind it at once, and a window sent at once in answer would
// overflow the next queue. The TCP connections below do not do it; they never find out their own rates when
// they are not given more than they can carry.
//
// On a path shorter than kShortPath what is measured is how late programs run, more than queues: there a
// fixed amount may be in flight. Sans-IO.
#pragma once

#include <algorithm>
#include <array>
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

  static constexpr std::uint64_t kLeastQuantum = 16 * 1024;

  // A record is read and acknowledged as a whole: of a window in one record, the next would wait for all of
  // it.
  static constexpr std::uint64_t kRecordsInWindow = 4;

  static constexpr Duration kShortPath = std::chrono::milliseconds(3);
  static constexpr std::uint64_t kShortPathBytes = 1024 * 1024;  // 2.8 Gbit/s for 3 ms

  explicit LaneWindow(std::uint64_t most_bytes)
      : most_(most_bytes), window_(std::min(most_bytes, kFirstBytes)) {}

  // Bytes that may be in flight when bulk is asked for more.
  std::uint64_t bytes() const;
  // How much one of several streams sends before the next: what the path carries in half a millisecond,
  // within kLeastQuantum and a record. On a fast path a record for each of a thousand streams costs less than
  // a quarter of it does, and on a slow one nobody's turn is long.
  std::uint64_t quantum() const;
  // The lane has sent `sent` bytes so far, and the peer has acknowledged the first `acknowledged` of them.
  // More bulk is waiting.
  void sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now);
  // Bulk of so many bytes goes out now: the next may at open_at().
  void spend(std::uint64_t bytes, TimePoint now);
  TimePoint open_at() const { return open_at_; }
  void acknowledged(std::uint64_t position, TimePoint now);
  // A round trip measured by PING.
  void round_trip(Duration sample, TimePoint now);

 private:
  struct Mark {
    std::uint64_t position;
    TimePoint sent_at;
    std::uint64_t heard_position;  // these as LaneWindow's were then
    TimePoint heard_at, heard_sent_at;
  };

  void measure(const Mark& mark, TimePoint now);
  void end_round(TimePoint now);
  bool is_short() const { return smallest_ && *smallest_ < kShortPath; }
  double rate() const;
  void begin();
  void leave_start();
  void next_phase();
  void forget_when_late();
  Duration allowed() const;
  void note_stall();
  void probe(TimePoint now);
  std::uint64_t clamped(double bytes) const;

  const std::uint64_t most_;
  std::uint64_t window_;
  std::deque<Mark> marks_;  // at most kMaxMarks
  // Of the last mark that was acknowledged: itself, when that was, and when it was sent.
  std::uint64_t heard_position_ = 0;
  TimePoint heard_at_{}, heard_sent_at_{};
  std::uint64_t round_end_ = 0;
  std::optional<Duration> best_;  // of this round: the shortest round trip
  std::size_t round_ = 0;
  std::array<double, 8> rates_{};  // bytes a second, the best of each of the last rounds
  bool first_ = true;              // nothing is known of the path
  // Until the rate stops growing: sockets on the way open their own windows, and what they hold is no queue.
  bool starting_ = true;
  double start_rate_ = 0;
  int flat_rounds_ = 0;    // in a row, in which start_rate_ hardly grew
  std::size_t phase_ = 0;  // of kPaces
  double phase_rate_ = 0;  // when the cycle began
  int late_rounds_ = 0;
  Duration silence_{};  // of this round: the longest time in which nothing was acknowledged
  Duration stall_{};    // the mean of what was too long of it
  std::optional<Duration> smallest_;
  TimePoint smallest_seen_{};
  int probe_round_ = 0;  // from 1: with half of what the path holds, to see it without a queue of ours
  std::uint64_t probe_bytes_ = 0;
  TimePoint open_at_{};
};

}  // namespace zks::session
