// SPDX-License-Identifier: MIT
#include "session/lane_window.hpp"

#include <algorithm>
#include <utility>

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using Duration = LaneWindow::Duration;

constexpr std::uint64_t kMarkEvery = 8 * 1024;
constexpr std::uint64_t kGrain = 16 * 1024;  // what the peer acknowledges at least
constexpr std::uint64_t kMostRecord = 64 * 1024;
constexpr double kQuantumSeconds = 0.0005;
constexpr std::size_t kMaxMarks = 2048;
// What may wait on the way: enough to keep every socket on it busy until the next wake-up or LANE_ACK.
constexpr Duration kTarget = 5ms;
constexpr int kSameShare = 16;        // a round trip that is longer by less is the smallest seen again
constexpr auto kSmallestHolds = 10s;  // as BBR's: then the path may have become longer
constexpr int kProbeRounds = 2;       // one to drain, one to measure
constexpr int kMostProbeRounds = 8;
// Of the rate, by rounds in turn (BBR's cycle): more to see whether the path has more, then less, so that
// what this put into queues leaves them.
constexpr std::array kPaces{1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
constexpr Duration kBurst = 2ms;           // of the pace, at once, after a timer that was late
constexpr Duration kLongestPause = 100ms;  // whatever the rate seems to be
constexpr Duration kIdle = 1s;  // after which sockets on the way begin anew, and so does the window
constexpr int kStartGain = 2;   // of rate times round trip: room for the rate to double
constexpr double kStartGrowth = 1.25;
constexpr int kStartFlatRounds = 3;
constexpr double kMore = 1.125;  // times the rate when the cycle began: the path has more
constexpr int kLateRounds = 2;
constexpr int kStallRounds = 8;  // the mean is over so many, nearly

double seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

Duration duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

std::uint64_t LaneWindow::clamped(double bytes) const {
  return std::clamp(static_cast<std::uint64_t>(bytes), std::min(kLeastBytes, most_), most_);
}

std::uint64_t LaneWindow::bytes() const {
  if (is_short()) return std::min(most_, kShortPathBytes);
  return probe_round_ > 0 ? probe_bytes_ : window_;
}

std::uint64_t LaneWindow::quantum() const {
  return std::clamp(static_cast<std::uint64_t>(rate() * kQuantumSeconds), kLeastQuantum, kMostRecord);
}

double LaneWindow::rate() const {
  return *std::max_element(rates_.begin(), rates_.end());
}

void LaneWindow::sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now) {
  if (marks_.empty()) {
    if (now - heard_at_ > kIdle) begin();
    round_end_ = sent;
    best_.reset();
    heard_position_ = acknowledged;
    heard_at_ = heard_sent_at_ = now;
  } else if (sent < marks_.back().position + kMarkEvery || marks_.size() >= kMaxMarks) {
    return;
  }
  marks_.push_back({sent, now, heard_position_, heard_at_, heard_sent_at_});
}

void LaneWindow::spend(std::uint64_t bytes, TimePoint now) {
  if (is_short() || starting_ || rate() <= 0) return;
  const double pace = rate() * kPaces[phase_];
  open_at_ =
      std::max(open_at_, now - kBurst) + std::min(duration(static_cast<double>(bytes) / pace), kLongestPause);
}

void LaneWindow::acknowledged(std::uint64_t position, TimePoint now) {
  std::optional<Mark> newest;
  while (!marks_.empty() && marks_.front().position <= position) {
    newest = marks_.front();
    marks_.pop_front();
  }
  if (!newest) return;
  measure(*newest, now);
  silence_ = std::max<Duration>(silence_, now - heard_at_);
  heard_position_ = newest->position;
  heard_at_ = now;
  heard_sent_at_ = newest->sent_at;
  if (newest->position < round_end_) return;
  round_end_ = marks_.empty() ? position : marks_.back().position;
  if (!is_short()) end_round(now);
  best_.reset();
  rates_[++round_ % rates_.size()] = 0;
}

void LaneWindow::measure(const Mark& mark, TimePoint now) {
  const Duration took = now - mark.sent_at;
  if (!best_ || took < *best_) best_ = took;
  round_trip(took, now);
  const Duration time = std::max<Duration>({now - mark.heard_at, mark.sent_at - mark.heard_sent_at, 1us});
  double& best = rates_[round_ % rates_.size()];
  best = std::max(best, static_cast<double>(mark.position - mark.heard_position) / seconds(time));
}

void LaneWindow::round_trip(Duration sample, TimePoint now) {
  if (smallest_ && sample > *smallest_ + *smallest_ / kSameShare) return;
  smallest_ = std::min(sample, smallest_.value_or(sample));
  smallest_seen_ = now;
}

void LaneWindow::end_round(TimePoint now) {
  forget_when_late();
  if (starting_) {
    leave_start();
  } else {
    probe(now);
    next_phase();
  }
  note_stall();
  const double fits = rate() * seconds(allowed() + kTarget) + kGrain;
  window_ = clamped(starting_ && first_ ? std::max<double>(fits, kFirstBytes) : fits);
}

// The round trip that the window leaves room for.
Duration LaneWindow::allowed() const {
  if (starting_) return kStartGain * *smallest_;
  return *smallest_ + std::min<Duration>(*smallest_ / 2 + 2 * stall_, *smallest_);
}

// No round trip was near what is allowed, twice: the path has become slower than all but the newest rate
// says.
void LaneWindow::forget_when_late() {
  const bool late = *best_ > (allowed() + kTarget) * 3 / 2 + duration(kGrain / rate());
  late_rounds_ = late && !starting_ ? late_rounds_ + 1 : 0;
  if (late_rounds_ < kLateRounds) return;
  late_rounds_ = 0;
  rates_ = {rates_[round_ % rates_.size()]};
  round_ = 0;
}

// A path that turns out to have more is asked for more again at once.
void LaneWindow::next_phase() {
  const bool more = rate() > phase_rate_ * kMore;
  phase_ = more ? 0 : (phase_ + 1) % kPaces.size();
  if (phase_ == 0) phase_rate_ = rate();
}

// How much longer than it takes anyway the peer was silent, at most a round trip.
void LaneWindow::note_stall() {
  const double record = static_cast<double>(std::min<std::uint64_t>(window_ / kRecordsInWindow, kMostRecord));
  const Duration usual = kTarget + duration(record / rate());
  const Duration silence = std::exchange(silence_, 0ns);
  stall_ += (std::clamp<Duration>(silence - usual, 0ns, *smallest_) - stall_) / kStallRounds;
}

void LaneWindow::begin() {
  starting_ = true;
  start_rate_ = 0;
  flat_rounds_ = 0;
  probe_round_ = 0;
}

void LaneWindow::leave_start() {
  if (rate() >= start_rate_ * kStartGrowth) {
    start_rate_ = rate();
    flat_rounds_ = 0;
  } else if (++flat_rounds_ >= kStartFlatRounds) {
    starting_ = first_ = false;
    phase_ = 1;
    phase_rate_ = rate();
  }
}

void LaneWindow::probe(TimePoint now) {
  if (probe_round_ == 0) {
    if (now - smallest_seen_ <= kSmallestHolds) return;
    probe_round_ = 1;
    probe_bytes_ = std::max(static_cast<std::uint64_t>(rate() * seconds(*smallest_) / 2), kGrain);
    return;
  }
  if (++probe_round_ <= kProbeRounds) return;
  // A round may be late because something was lost, or because the TCP connection below probes as well.
  const bool longer = *best_ > *smallest_ * 5 / 4;
  if (longer && probe_round_ <= kMostProbeRounds) return;
  probe_round_ = 0;
  if (longer) begin();  // what is known of its rate is of too small a window
  smallest_ = *best_;
  smallest_seen_ = now;
}

}  // namespace zks::session
