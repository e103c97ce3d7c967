// SPDX-License-Identifier: MIT
//
// The session's lanes: which there are, whether each is alive (PROTOCOL.md, "Liveness"), and what becomes of
// the streams of one that died ("Several lanes"). A stream is bound to one lane. Both ends have to agree that
// a lane is dead before its streams move, and the client chooses where to: it declares the lane dead on
// another one (LANE_DOWN), and an exchange of tables follows there. An exit that finds a lane dead only
// tells.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;

constexpr auto kOwedSilence = 10s;  // PING after this much silence while something is owed
constexpr auto kIdleSilence = 60s;  // and after this while there are streams
constexpr auto kPongDeadline = 5s;  // or longer while the kernel's queue drains
constexpr auto kCheckEvery = 1s;    // how often these are looked at
// A lane is silent when a PING is not answered within this, and no byte moved for kAskAfter; or so many round
// trips each.
constexpr std::chrono::nanoseconds kAnswerWithin = 1'500ms;
constexpr int kAnswerRoundTrips = 3;

TimePoint silent_at(const LaneState& lane) {
  if (!lane.ping) return TimePoint::max();
  const auto round_trips = lane.least_round_trip * kAnswerRoundTrips;
  return std::max(lane.ping->silent_from + std::max(kAnswerWithin, round_trips),
                  lane.last_received + std::max<std::chrono::nanoseconds>(kAskAfter, round_trips));
}

// The answer may be behind what moves now.
void put_off_silence(LaneState::Ping& ping, TimePoint now) {
  ping.silent_from = std::max(
      ping.silent_from, std::chrono::time_point_cast<TimePoint::duration>(now + kAskAfter - kAnswerWithin));
}

// False: the PING is due, and late.
bool look_at_ping(LaneState& lane, TimePoint now, std::size_t undrained_bytes) {
  auto& ping = *lane.ping;
  const bool drains = undrained_bytes < std::exchange(ping.undrained, undrained_bytes);
  // Once all of it has left, only the answer is awaited.
  if (drains && undrained_bytes > 0) put_off_silence(ping, now);
  if (lane.last_received > ping.requested) {
    // Alive: bytes came since. Without an answer to measure, forget it once it is late.
    if (now >= ping.deadline && now < silent_at(lane)) lane.ping.reset();
    return true;
  }
  // The PING may stand behind what the kernel holds. As long as that gets less, it has time.
  if (drains) ping.deadline = now + kPongDeadline;
  return ping.early || now < ping.deadline;
}

}  // namespace

void Session::attach_lane(LaneOptions options, TimePoint now) {
  const bool joins = options.mode == HelloMode::kJoin;
  if (!joins) lose_lanes();
  newest_lane_ = options.number;
  LaneState& lane = context_->lanes.add(options);
  lane.checked_at = lane.last_received = now;
  request_ping(lane, now);  // the first round trip time
  if (joins) return;
  dead_.clear();
  if (options.mode == HelloMode::kResume) {
    lane.resuming = true;
    streams_.move_all(options.number);
    begin_exchange(lane);
    return flows_.place();
  }
  streams_.begin_again_on(options.number);
  flows_.place();
}

void Session::lose_lanes() {
  for (const auto& [number, lane] : context_->lanes) {
    dead_.insert(number);
    streams_.leave_lane(number);
    flows_.leave_lane(number);
  }
  context_->lanes.clear();
  goaway_sent_ = false;  // it may have been lost
  listeners_.repeat();
}

void Session::lose_lane(LaneNumber number) {
  const LaneState* lane = lane_at(number);
  if (lane == nullptr) return;
  streams_.leave_lane(number);
  if (lane->told_goaway) goaway_sent_ = false;
  dead_.insert(lane->declared.begin(), lane->declared.end());  // the exit may not have heard of it
  dead_.insert(number);
  context_->lanes.erase(number);
  flows_.leave_lane(number);
  flows_.place();
  listeners_.repeat();
  agree_on_deaths();
}

// With no lane to do it on, or every one in the middle of an exchange, it is done later: when a lane joins,
// or the exchange ends. A lane that resumes makes it unnecessary.
void Session::agree_on_deaths() {
  const bool client = context_->client();
  if (dead_.empty()) return;
  LaneState* lane = client ? context_->lanes.least_loaded_for_exchange() : context_->lanes.least_loaded();
  if (lane == nullptr) return;
  lane->owe_lane_down = true;
  if (!client) return;
  lane->declared.assign(dead_.begin(), dead_.end());
  streams_.move(dead_, lane->options.number);
  dead_.clear();
  begin_exchange(*lane);
}

Result<> Session::on(const LaneDownFrame& frame, LaneState& lane, TimePoint) {
  const bool client = context_->client();
  if (!client && (lane.exchanging() || lane.ignore_tables))
    return violation("LANE_DOWN within an exchange of tables");
  for (const LaneNumber number : frame.lanes) {
    if (number == lane.options.number) return violation("LANE_DOWN for the lane that it comes on");
    if (client && number > newest_lane_) return violation("LANE_DOWN for a lane that never was");
    newest_lane_ = std::max(newest_lane_, number);  // its HELLO may still come, and is too late
  }
  for (const LaneNumber number : frame.lanes) {
    if (lane_at(number) != nullptr) push({.kind = Event::Kind::kLaneDown, .lane = number});
    lose_lane(number);
    if (client) continue;
    dead_.erase(number);
    streams_.move({number}, lane.options.number);
  }
  if (!client) begin_exchange(lane);
  return {};
}

std::size_t Session::lanes() const {
  std::size_t count = context_->lanes.size() + dead_.size();
  for (const auto& [number, lane] : context_->lanes) count += lane->declared.size();
  return count;
}

std::uint64_t Session::lane_bytes(LaneNumber number) const {
  const LaneState* lane = lane_at(number);
  return lane == nullptr ? 0 : lane->sent_bytes + lane->received_bytes;
}

std::chrono::nanoseconds Session::round_trip(LaneNumber number) const {
  const LaneState* lane = lane_at(number);
  return lane == nullptr ? std::chrono::nanoseconds{} : lane->round_trip;
}

LaneCounters Session::lane_counters(LaneNumber number) const {
  const LaneState* lane = lane_at(number);
  if (lane == nullptr) return {};
  LaneCounters out{lane->sent_bytes, lane->received_bytes, std::nullopt};
  if (lane->round_trip_known) out.round_trip = lane->round_trip;
  return out;
}

void Session::probe(TimePoint now) {
  for (auto& [number, lane] : context_->lanes) {
    if (!lane->ping || lane->ping->early) request_ping(*lane, now);
  }
}

bool Session::owed(const LaneState& lane) const {
  return streams_.owed_on(lane.options.number) || !lane.hello_received || lane.await_table ||
         lane.credit_said || listeners_.awaits_answer();
}

bool Session::serves(const LaneState& lane) const {
  if (listeners_.size() > 0) return true;  // whoever connects there should find this end
  if (context_->lanes.size() == 1) return streams_.size() > 0 || flows_.size() > 0;
  return context_->lanes.load(lane.options.number) > 0;
}

void Session::request_ping(LaneState& lane, TimePoint now) {
  LaneState::Ping ping;
  ping.requested = now;
  ping.deadline = now + kPongDeadline;
  ping.silent_from = lane.ping ? lane.ping->silent_from : now;
  fill_random(ping.token);
  lane.ping = ping;
}

bool Session::tick(LaneNumber number, TimePoint now, std::size_t undrained_bytes, bool arriving) {
  streams_.tick(now);
  LaneState* lane = lane_at(number);
  if (lane == nullptr) return true;
  const bool stood_still = now - std::exchange(lane->checked_at, now) > 2 * kCheckEvery;
  if (now >= lane->window.open_at()) lane->paced = false;
  if (now >= lane->ack_due) lane->owe_ack = true;
  if (lane->ping && !look_at_ping(*lane, now, undrained_bytes)) return false;
  // What this process did not read itself, because it was stopped, is no silence.
  if (lane->ping && stood_still) lane->ping->silent_from = now;
  if (lane->ping && arriving) put_off_silence(*lane->ping, now);
  const bool is_asked = lane->ping && !lane->ping->early && lane->last_received <= lane->ping->requested;
  if (!is_asked && is_ping_due(*lane, now)) {
    request_ping(*lane, now);
    lane->ask_at = TimePoint::max();
  } else if (!lane->ping && now >= lane->ask_at) {
    request_ping(*lane, now);
    lane->ping->early = true;
    lane->ask_at = TimePoint::max();
  }
  return true;
}

bool Session::is_ping_due(const LaneState& lane, TimePoint now) const {
  const auto silence = now - lane.last_received;
  if (silence >= kIdleSilence && lane.ping) return true;
  if (silence < kOwedSilence || (!serves(lane) && !lane.exchanging())) return false;
  return silence >= kIdleSilence || owed(lane);
}

// No reason to give the lane up: what is lost is sent again, and may come through. Another one may be faster.
bool Session::silent(LaneNumber number, TimePoint now) const {
  const LaneState* lane = lane_at(number);
  return lane != nullptr && now >= silent_at(*lane);
}

TimePoint Session::next_deadline() const {
  TimePoint next = streams_.next_deadline();
  for (const auto& [number, lane] : context_->lanes) {
    if (lane->paced) next = std::min(next, lane->window.open_at());
    if (!lane->owe_ack) next = std::min(next, lane->ack_due);
    if (streams_.size() > 0 || flows_.size() > 0 || listeners_.size() > 0 || lane->ping || lane->exchanging())
      next = std::min(next, lane->checked_at + kCheckEvery);
    if (!lane->ping) next = std::min(next, lane->ask_at);
    const TimePoint silent_from = silent_at(*lane);
    if (silent_from > lane->checked_at) next = std::min(next, silent_from);
  }
  return next;
}

}  // namespace zks::session
