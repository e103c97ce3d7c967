// SPDX-License-Identifier: MIT
#include "tunnel/lane_set.hpp"

namespace zks::tunnel {

LaneSet::Number LaneSet::attach() {
  attaching_ = ++newest_;
  return newest_;
}

// Clients that came together, after a restart of their relay, do not renew together.
void LaneSet::welcomed(Number lane, TimePoint now) {
  const std::chrono::milliseconds longest = options_.renew_after;
  serving_[lane] = now + longest - jittered_pause(16, longest / 10);
  if (attaching_ == lane) attaching_.reset();
}

LaneSet::Loss LaneSet::lost(Number lane, const Error& why, TimePoint now) {
  if (attaching_ == lane) attaching_.reset();
  if (lane == newest_) why_over_ = why;
  if (serving_.erase(lane) == 0) return Loss::kNeverServed;
  if (empty()) {
    lost_at_ = now;
    return Loss::kLast;
  }
  joining_.ended(now);
  join_at_ = now + joining_.pause(now, options_.longest_pause);
  return Loss::kOthersServe;
}

void LaneSet::session_over(const Error& why) {
  serving_.clear();
  attaching_.reset();
  why_over_ = why;
}

std::vector<LaneSet::Number> LaneSet::numbers() const {
  std::vector<Number> out;
  out.reserve(serving_.size());
  for (const auto& [lane, due] : serving_) out.push_back(lane);
  return out;
}

std::optional<LaneSet::Number> LaneSet::to_renew(TimePoint now) const {
  for (const auto& [lane, due] : serving_) {
    if (due <= now) return lane;
  }
  return std::nullopt;
}

LaneSet::Task LaneSet::task(const Session& session, TimePoint now) const {
  if (session.silent && now >= race_at_) return Task::kRace;
  if (to_renew(now)) return Task::kRenew;
  if (wants_lane(session) && now >= join_at_) return Task::kJoin;
  return Task::kNone;
}

LaneSet::TimePoint LaneSet::due(const Session& session) const {
  TimePoint next = wants_lane(session) ? join_at_ : TimePoint::max();
  for (const auto& [lane, due] : serving_) next = std::min(next, due);
  return session.silent ? std::min(next, race_at_) : next;
}

void LaneSet::renew_now(Number lane) {
  if (const auto at = serving_.find(lane); at != serving_.end()) at->second = {};
}

void LaneSet::not_renewed(Number lane, TimePoint now) {
  if (const auto at = serving_.find(lane); at != serving_.end()) at->second = now + kRenewAgain;
}

void LaneSet::joined(bool done, TimePoint now) {
  if (done) {
    joining_.began(now);
  } else {
    joining_.failed(now);
  }
  join_at_ =
      now + (done ? jittered_pause(0, options_.longest_pause) : joining_.pause(now, options_.longest_pause));
}

void LaneSet::raced(bool won, TimePoint now) {
  if (won) {
    racing_.reset();
  } else {
    racing_.failed(now);
  }
  race_at_ = now + racing_.pause(now, options_.longest_pause);
}

void LaneSet::network_changed() {
  joining_.reset();
  racing_.reset();
  join_at_ = race_at_ = {};
}

}  // namespace zks::tunnel
