// SPDX-License-Identifier: MIT
//
// How much bulk a lane may have in flight, and how fast it goes out: what the path carries in its smallest
// round trip and a little more, so that it does not wait in queues that nobody can overtake in (sockets'
// buffers, the relay's, routers'). This is BBR (draft-ietf-ccwg-bbr), whose names it has, over LANE_ACKs
// instead of TCP's:
//
//   cwnd = max_bw * (min_rtt + queue)        queue: half of min_rtt, and more on a path that stalls
//
// max_bw is the greatest delivery rate (rate_sampler.hpp) of the last eight round trips (max_filter.hpp).
// Bulk is also paced, by max_bw (pacer.hpp): a lost segment on the way makes the peer acknowledge all that
// stood behind it at once, and a window sent at once in answer would overflow the next queue. The TCP
// connections below do not do it; they never find out their own rates when they are not given more than they
// can carry.
//
// What is not the draft's: there is no Drain state, as ProbeBW begins with a gain below 1; losses are not
// seen, as TCP repeats them; and what a path needs that stalls is added to the window.
//
// On a path shorter than kShortPath what is measured is how late programs run, more than queues: there a
// fixed amount may be in flight. Sans-IO.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "session/max_filter.hpp"
#include "session/pacer.hpp"
#include "session/rate_sampler.hpp"

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
      : most_(most_bytes), cwnd_(std::min(most_bytes, kFirstBytes)) {}

  // Bytes that may be in flight when bulk is asked for more: cwnd.
  std::uint64_t bytes() const;
  // send_quantum: how much one of several streams sends before the next: what the path carries in half a
  // millisecond, within kLeastQuantum and a record. On a fast path a record for each of a thousand streams
  // costs less than a quarter of it does, and on a slow one nobody's turn is long.
  std::uint64_t quantum() const;
  // The lane has sent `sent` bytes so far, and the peer has acknowledged the first `acknowledged` of them.
  // More bulk is waiting.
  void sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now);
  // Bulk of so many bytes goes out now: the next may at open_at().
  void spend(std::uint64_t bytes, TimePoint now);
  TimePoint open_at() const { return pacer_.next_send_time(); }
  void acknowledged(std::uint64_t position, TimePoint now);
  // A round trip measured by PING.
  void round_trip(Duration sample, TimePoint now);

 private:
  // Startup: until the bandwidth stops growing; sockets on the way open their own windows, and what they hold
  // is no queue. ProbeRTT: with half of what the path holds, to see it without a queue of ours.
  enum class State : std::uint8_t { kStartup, kProbeBw, kProbeRtt };

  static constexpr std::size_t kBwFilterRounds = 8;

  bool is_short() const { return min_rtt_ && *min_rtt_ < kShortPath; }
  double max_bw() const { return max_bw_filter_.max(); }
  double pacing_rate() const;
  Duration target_rtt() const;
  std::uint64_t clamped(double bytes) const;

  void on_round(TimePoint now);
  void enter_startup();
  void check_full_bw_reached();
  void update_bw_cycle();
  void forget_bw_when_late();
  void note_stall();
  void enter_probe_rtt();
  void update_probe_rtt(TimePoint now);

  const std::uint64_t most_;
  std::uint64_t cwnd_;
  State state_ = State::kStartup;
  bool path_known_ = false;  // some Startup was left
  RateSampler sampler_;
  Pacer pacer_;
  MaxFilter<kBwFilterRounds> max_bw_filter_;
  std::optional<Duration> min_rtt_;
  TimePoint min_rtt_stamp_{};
  std::optional<Duration> round_min_rtt_;  // of this round trip
  // Startup: the bandwidth, and for how many rounds in a row it has hardly grown.
  double full_bw_ = 0;
  int full_bw_count_ = 0;
  std::size_t cycle_index_ = 0;  // of kPacingGains
  double cycle_bw_ = 0;          // when the cycle began
  int late_rounds_ = 0;
  Duration silence_{};  // of this round: the longest time in which nothing was acknowledged
  Duration stall_{};    // the mean of what was too long of it
  int probe_rtt_round_ = 0;
  std::uint64_t probe_rtt_cwnd_ = 0;
};

}  // namespace zks::session
