// SPDX-License-Identifier: MIT
#include "session/lane_window.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using Duration = LaneWindow::Duration;

constexpr std::uint64_t kGrain = 16 * 1024;  // what the peer acknowledges at least
constexpr std::uint64_t kMostRecord = 64 * 1024;
constexpr double kQuantumSeconds = 0.0005;
// What may wait on the way: enough to keep every socket on it busy until the next wake-up or LANE_ACK.
constexpr Duration kTarget = 5ms;
constexpr int kSameShare = 16;             // a round trip that is longer by less is the smallest seen again
constexpr auto kMinRttFilterLength = 10s;  // then the path may have become longer
constexpr int kProbeRttRounds = 2;         // one to drain, one to measure
constexpr int kMostProbeRttRounds = 8;
// ProbeBW: of the bandwidth, by rounds in turn; more to see whether the path has more, then less, so that
// what this put into queues leaves them.
constexpr std::array kPacingGains{1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
constexpr Duration kIdle = 1s;       // after which sockets on the way begin anew, and so does the window
constexpr int kStartupCwndGain = 2;  // room for the rate to double
constexpr double kStartupGrowth = 1.25;
constexpr int kStartupFullBwRounds = 3;
constexpr double kMore = 1.125;  // times the bandwidth when the cycle began: the path has more
constexpr int kLateRounds = 2;
constexpr int kStallRounds = 8;  // the mean is over so many, nearly

double seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

std::uint64_t LaneWindow::clamped(double bytes) const {
  return std::clamp(static_cast<std::uint64_t>(bytes), std::min(kLeastBytes, most_), most_);
}

std::uint64_t LaneWindow::bytes() const {
  if (is_short()) return std::min(most_, kShortPathBytes);
  return state_ == State::kProbeRtt ? probe_rtt_cwnd_ : cwnd_;
}

std::uint64_t LaneWindow::quantum() const {
  return std::clamp(static_cast<std::uint64_t>(max_bw() * kQuantumSeconds), kLeastQuantum, kMostRecord);
}

double LaneWindow::pacing_rate() const {
  return max_bw() * kPacingGains[cycle_index_];
}

void LaneWindow::sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now) {
  if (sampler_.idle()) {
    if (now - sampler_.delivered_time() > kIdle) enter_startup();
    round_min_rtt_.reset();
  }
  sampler_.on_sent(sent, acknowledged, now);
}

void LaneWindow::spend(std::uint64_t bytes, TimePoint now) {
  if (is_short() || state_ == State::kStartup || max_bw() <= 0) return;
  pacer_.on_sent(bytes, pacing_rate(), now);
}

void LaneWindow::acknowledged(std::uint64_t position, TimePoint now) {
  const auto sample = sampler_.on_acknowledged(position, now);
  if (!sample) return;
  round_min_rtt_ = std::min(sample->rtt, round_min_rtt_.value_or(sample->rtt));
  round_trip(sample->rtt, now);
  max_bw_filter_.update(sample->delivery_rate);
  silence_ = std::max(silence_, sample->silence);
  if (!sample->ends_round) return;
  if (!is_short()) on_round(now);
  round_min_rtt_.reset();
  max_bw_filter_.next_round();
}

void LaneWindow::round_trip(Duration sample, TimePoint now) {
  if (min_rtt_ && sample > *min_rtt_ + *min_rtt_ / kSameShare) return;
  min_rtt_ = std::min(sample, min_rtt_.value_or(sample));
  min_rtt_stamp_ = now;
}

void LaneWindow::on_round(TimePoint now) {
  forget_bw_when_late();
  if (state_ == State::kStartup) {
    check_full_bw_reached();
  } else {
    update_probe_rtt(now);
    update_bw_cycle();
  }
  note_stall();
  const double fits = max_bw() * seconds(target_rtt() + kTarget) + kGrain;
  cwnd_ = clamped(path_known_ ? fits : std::max<double>(fits, kFirstBytes));
}

// The round trip that the window leaves room for.
Duration LaneWindow::target_rtt() const {
  if (state_ == State::kStartup) return kStartupCwndGain * *min_rtt_;
  return *min_rtt_ + std::min<Duration>(*min_rtt_ / 2 + 2 * stall_, *min_rtt_);
}

// No round trip was near what is allowed, twice: the path has become slower than all but the newest bandwidth
// says.
void LaneWindow::forget_bw_when_late() {
  const bool late = *round_min_rtt_ > (target_rtt() + kTarget) * 3 / 2 + Pacer::time_for(kGrain, max_bw());
  late_rounds_ = late && state_ != State::kStartup ? late_rounds_ + 1 : 0;
  if (late_rounds_ < kLateRounds) return;
  late_rounds_ = 0;
  max_bw_filter_.forget_earlier_rounds();
}

// A path that turns out to have more is asked for more again at once.
void LaneWindow::update_bw_cycle() {
  const bool more = max_bw() > cycle_bw_ * kMore;
  cycle_index_ = more ? 0 : (cycle_index_ + 1) % kPacingGains.size();
  if (cycle_index_ == 0) cycle_bw_ = max_bw();
}

// How much longer than it takes anyway the peer was silent, at most a round trip.
void LaneWindow::note_stall() {
  const double record = static_cast<double>(std::min<std::uint64_t>(cwnd_ / kRecordsInWindow, kMostRecord));
  const Duration usual = kTarget + Pacer::time_for(record, max_bw());
  const Duration silence = std::exchange(silence_, 0ns);
  stall_ += (std::clamp<Duration>(silence - usual, 0ns, *min_rtt_) - stall_) / kStallRounds;
}

void LaneWindow::enter_startup() {
  state_ = State::kStartup;
  full_bw_ = 0;
  full_bw_count_ = 0;
}

void LaneWindow::check_full_bw_reached() {
  if (max_bw() >= full_bw_ * kStartupGrowth) {
    full_bw_ = max_bw();
    full_bw_count_ = 0;
  } else if (++full_bw_count_ >= kStartupFullBwRounds) {
    state_ = State::kProbeBw;
    path_known_ = true;
    cycle_index_ = 1;
    cycle_bw_ = max_bw();
  }
}

void LaneWindow::enter_probe_rtt() {
  state_ = State::kProbeRtt;
  probe_rtt_round_ = 1;
  probe_rtt_cwnd_ = std::max(static_cast<std::uint64_t>(max_bw() * seconds(*min_rtt_) / 2), kGrain);
}

void LaneWindow::update_probe_rtt(TimePoint now) {
  if (state_ == State::kProbeBw) {
    if (now - min_rtt_stamp_ > kMinRttFilterLength) enter_probe_rtt();
    return;
  }
  if (++probe_rtt_round_ <= kProbeRttRounds) return;
  // A round may be late because something was lost, or because the TCP connection below probes as well.
  const bool longer = *round_min_rtt_ > *min_rtt_ * 5 / 4;
  if (longer && probe_rtt_round_ <= kMostProbeRttRounds) return;
  state_ = State::kProbeBw;
  if (longer) enter_startup();  // what is known of its bandwidth is of too small a window
  min_rtt_ = *round_min_rtt_;
  min_rtt_stamp_ = now;
}

}  // namespace zks::session
