// SPDX-License-Identifier: MIT
#include "session/liveness.hpp"

#include <algorithm>
#include <utility>

namespace zks::session {
namespace {

using namespace std::chrono_literals;

constexpr auto kPongDeadline = 5s;  // or longer while the kernel's queue drains
constexpr auto kCheckEvery = 1s;    // how often a lane is looked at
constexpr auto kSampleEvery = 1s;   // the round trip time, while data comes
// A lane is silent when a PING is not answered within this, and no byte moved for kAskAfter; or so many round
// trips each.
constexpr std::chrono::nanoseconds kAnswerWithin = 1'500ms;
constexpr int kAnswerRoundTrips = 3;
constexpr std::size_t kSlowestPath = 16'000;  // bytes a second; a slower one is raced

}  // namespace

void Liveness::begin(TimePoint now) {
  checked_at_ = last_received_ = now;
  request(now);
}

void Liveness::received(TimePoint now) {
  last_received_ = now;
  if (ask_at_ != TimePoint::max()) ask_at_ = now + kAskAfter;
}

void Liveness::work_sent(TimePoint now) {
  if (ask_at_ == TimePoint::max()) ask_at_ = now + kAskAfter;
}

void Liveness::request(TimePoint now) {
  Ping ping;
  ping.requested = now;
  ping.deadline = now + kPongDeadline;
  ping.silent_from = ping_ ? ping_->silent_from : now;
  fill_random(ping.token);
  ping_ = ping;
}

void Liveness::probe(TimePoint now) {
  if (!ping_ || ping_->early) request(now);
}

bool Liveness::sample_due(TimePoint now) const {
  return !ping_ && now - last_sample_ >= kSampleEvery;
}

TimePoint Liveness::silent_at() const {
  if (!ping_) return TimePoint::max();
  const auto round_trips = least_round_trip_ * kAnswerRoundTrips;
  return std::max(ping_->silent_from + std::max(kAnswerWithin, round_trips),
                  last_received_ + std::max<std::chrono::nanoseconds>(kAskAfter, round_trips));
}

void Liveness::expect_answer_by(TimePoint time) {
  ping_->silent_from =
      std::max(ping_->silent_from, std::chrono::time_point_cast<TimePoint::duration>(time - kAnswerWithin));
}

// A relay passes on only whole messages: what has left took so long to get there, and takes as long again to
// the other end, where the second path is as slow. What left all at once after a gap in the path does not.
void Liveness::expect_as_long_again(TimePoint now, std::chrono::nanoseconds took, std::size_t bytes) {
  ping_->drained_in += took;
  ping_->drained_bytes += bytes;
  const std::chrono::nanoseconds slowest = std::chrono::seconds(1) * ping_->drained_bytes / kSlowestPath;
  expect_answer_by(now + std::min(ping_->drained_in, slowest));
}

// False: the PING is due, and late.
bool Liveness::look_at_ping(TimePoint now, std::chrono::nanoseconds since_last, std::size_t undrained_bytes) {
  const std::size_t before = std::exchange(ping_->undrained, undrained_bytes);
  const bool drains = undrained_bytes < before;
  // The answer may be behind what moves now. Once all of it has left, only the answer is awaited.
  if (drains && undrained_bytes > 0) expect_answer_by(now + kAskAfter);
  if (drains) expect_as_long_again(now, since_last, before - undrained_bytes);
  if (last_received_ > ping_->requested) {
    // Alive: bytes came since. Without an answer to measure, forget it once it is late.
    if (now >= ping_->deadline && now < silent_at()) ping_.reset();
    return true;
  }
  // The PING may stand behind what the kernel holds. As long as that gets less, it has time.
  if (drains) ping_->deadline = now + kPongDeadline;
  return ping_->early || now < ping_->deadline;
}

bool Liveness::tick(TimePoint now, std::size_t undrained_bytes, bool arriving) {
  const auto since_last = now - std::exchange(checked_at_, now);
  const bool stood_still = since_last > 2 * kCheckEvery;
  if (ping_ && !look_at_ping(now, since_last, undrained_bytes)) return false;
  // What this process did not read itself, because it was stopped, is no silence.
  if (ping_ && stood_still) ping_->silent_from = now;
  if (ping_ && arriving) expect_answer_by(now + kAskAfter);
  return true;
}

void Liveness::ask(TimePoint now) {
  request(now);
  ask_at_ = TimePoint::max();
}

void Liveness::ask_early(TimePoint now) {
  if (ping_ || now < ask_at_) return;
  ask(now);
  ping_->early = true;
}

TimePoint Liveness::next_deadline(bool in_use) const {
  TimePoint next = TimePoint::max();
  if (in_use || ping_) next = std::min(next, checked_at_ + kCheckEvery);
  if (!ping_) next = std::min(next, ask_at_);
  const TimePoint silent_from = silent_at();
  if (silent_from > checked_at_) next = std::min(next, silent_from);
  return next;
}

std::optional<std::chrono::nanoseconds> Liveness::known_round_trip() const {
  if (!round_trip_known_) return std::nullopt;
  return round_trip_;
}

bool Liveness::fill(ByteWriter& out, TimePoint now) {
  const std::size_t owed = pongs_.size();
  while (!pongs_.empty() && encode_frame(out, PongFrame{pongs_.front()})) pongs_.pop_front();
  if (ping_ && !ping_->sent && encode_frame(out, PingFrame{ping_->token})) {
    ping_->sent = true;
    ping_->sent_at = now;
  }
  return pongs_.size() < owed;
}

void Liveness::on(const PingFrame& frame) {
  if (pongs_.size() >= kMaxPongsOwed) pongs_.pop_front();
  pongs_.push_back(frame.token);
}

std::optional<std::chrono::nanoseconds> Liveness::on(const PongFrame& frame, TimePoint now) {
  if (!ping_ || !ping_->sent || ping_->token != frame.token) return std::nullopt;
  const std::chrono::nanoseconds sample = now - ping_->sent_at;
  round_trip_ = round_trip_known_ ? (round_trip_ * 7 + sample) / 8 : sample;
  least_round_trip_ = round_trip_known_ ? std::min(least_round_trip_, sample) : sample;
  round_trip_known_ = true;
  last_sample_ = now;
  ping_.reset();
  return sample;
}

}  // namespace zks::session
