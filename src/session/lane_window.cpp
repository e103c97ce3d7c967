// SPDX-License-Identifier: MIT
#include "session/lane_window.hpp"

#include <algorithm>
#include <utility>

namespace zks::session {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMarkEvery = 8 * 1024;
constexpr std::uint64_t kGrain = 16 * 1024;
constexpr std::size_t kMaxMarks = 2048;
// What may wait on the way: enough to keep every socket on it busy until the next wake-up or LANE_ACK.
constexpr LaneWindow::Duration kTarget = 5ms;
constexpr int kTargetShare = 16;      // and 1/16 of the smallest round trip
constexpr auto kSmallestHolds = 10s;  // as BBR's: then the path may have become longer
constexpr int kProbeRounds = 2;       // one to drain, one to measure
constexpr int kCalmRounds = 3;        // after these growth is faster
constexpr double kSlowestGrowth = 1.0625, kFastGrowth = 1.5, kSteepestFall = 0.5;

double seconds(LaneWindow::Duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

std::uint64_t LaneWindow::clamped(double bytes) const {
  return std::clamp(static_cast<std::uint64_t>(bytes), std::min(kLeastBytes, most_), most_);
}

std::uint64_t LaneWindow::bytes() const {
  if (is_short()) return std::min(most_, kShortPathBytes);
  return probe_rounds_ > 0 ? probe_bytes_ : window_;
}

void LaneWindow::sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now) {
  if (marks_.empty()) {
    round_end_ = sent;
    best_.reset();
  } else if (sent < marks_.back().position + kMarkEvery || marks_.size() >= kMaxMarks) {
    return;
  }
  marks_.push_back({sent, sent - acknowledged, now});
}

void LaneWindow::acknowledged(std::uint64_t position, TimePoint now) {
  std::optional<Mark> newest;
  while (!marks_.empty() && marks_.front().position <= position) {
    newest = marks_.front();
    marks_.pop_front();
  }
  if (!newest) return;
  measure(*newest, now);
  if (newest->position < round_end_) return;
  round_end_ = marks_.empty() ? position : marks_.back().position;
  end_round(now);
}

void LaneWindow::measure(const Mark& mark, TimePoint now) {
  const Duration took = now - mark.sent_at;
  if (!best_ || took < best_->round_trip) best_ = {took, mark.in_flight};
  round_trip(took, now);
}

void LaneWindow::round_trip(Duration sample, TimePoint now) {
  if (smallest_ && sample > *smallest_) return;
  smallest_ = sample;
  smallest_seen_ = now;
}

void LaneWindow::end_round(TimePoint now) {
  const Sample best = *best_;
  const Sample calmer = last_best_ && last_best_->round_trip < best.round_trip ? *last_best_ : best;
  last_best_ = std::exchange(best_, std::nullopt);
  if (is_short()) return;
  if (probe_rounds_ > 0) {
    if (--probe_rounds_ > 0) return;
    smallest_ = best.round_trip;
    smallest_seen_ = now;
  } else if (now - smallest_seen_ > kSmallestHolds) {
    probe_rounds_ = kProbeRounds;
    const double path = static_cast<double>(best.in_flight) * seconds(*smallest_) / seconds(best.round_trip);
    probe_bytes_ = std::max(static_cast<std::uint64_t>(path / 2), kGrain);  // kLeastBytes may be a queue
  } else {
    adapt(calmer);
  }
  limited_ = false;
}

// One round that is late because of a lost segment is no queue: `best` is that of two rounds.
void LaneWindow::adapt(const Sample& best) {
  // What the least that is acknowledged takes to pass is no queue either.
  const Duration grain = best.round_trip * kGrain / std::max(best.in_flight, kGrain);
  const Duration target = kTarget + *smallest_ / kTargetShare + grain;
  const Duration queueing = best.round_trip - *smallest_;
  const double ratio = seconds(*smallest_ + target) / seconds(best.round_trip);
  const bool queue = queueing > target;
  double window = static_cast<double>(window_);
  if (queue) {
    const double fits = static_cast<double>(best.in_flight) * std::max(ratio, kSteepestFall);
    window = std::min(window, fits);
    calm_rounds_ = 0;
  } else if (limited_ && best.in_flight >= window_ / 2) {
    const bool fast = ++calm_rounds_ > kCalmRounds && queueing < target / 2;
    window *= fast ? kFastGrowth : std::clamp(ratio, kSlowestGrowth, kFastGrowth);
  }
  window_ = clamped(window);
}

}  // namespace zks::session
