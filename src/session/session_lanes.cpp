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

}  // namespace

void Session::attach_lane(LaneOptions options, TimePoint now) {
  const bool joins = options.mode == HelloMode::kJoin;
  if (!joins) lose_lanes();
  LaneState& lane = context_->lanes.add(options);
  lane.liveness.begin(now);
  if (joins) return;
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
  context_->lanes.lose(number);
  flows_.leave_lane(number);
  flows_.place();
  listeners_.repeat();
  agree_on_deaths();
}

// With no lane to do it on, or every one in the middle of an exchange, it is done later: when a lane joins,
// or the exchange ends. A lane that resumes makes it unnecessary.
void Session::agree_on_deaths() {
  const bool client = context_->client();
  const auto& dead = context_->lanes.dead();
  if (dead.empty()) return;
  LaneState* lane = client ? context_->lanes.least_loaded_for_exchange() : context_->lanes.least_loaded();
  if (lane == nullptr) return;
  lane->owe_lane_down = true;
  if (!client) return;
  lane->declared.assign(dead.begin(), dead.end());
  streams_.move(dead, lane->options.number);
  context_->lanes.forget_dead();
  begin_exchange(*lane);
}

Result<> Session::on(const LaneDownFrame& frame, LaneState& lane, TimePoint) {
  const bool client = context_->client();
  if (!client && (lane.exchanging() || lane.ignore_tables))
    return violation("LANE_DOWN within an exchange of tables");
  for (const LaneNumber number : frame.lanes) {
    if (number == lane.options.number) return violation("LANE_DOWN for the lane that it comes on");
    if (client && number > newest_lane()) return violation("LANE_DOWN for a lane that never was");
    context_->lanes.heard_of(number);  // its HELLO may still come, and is too late
  }
  for (const LaneNumber number : frame.lanes) {
    if (lane_at(number) != nullptr) push(LaneDownEvent{.lane = number});
    lose_lane(number);
    if (client) continue;
    context_->lanes.forget_dead(number);
    streams_.move({number}, lane.options.number);
  }
  if (!client) begin_exchange(lane);
  return {};
}

std::uint64_t Session::lane_bytes(LaneNumber number) const {
  const LaneState* lane = lane_at(number);
  return lane == nullptr ? 0 : lane->sent_bytes + lane->received_bytes;
}

std::chrono::nanoseconds Session::round_trip(LaneNumber number) const {
  const LaneState* lane = lane_at(number);
  return lane == nullptr ? std::chrono::nanoseconds{} : lane->liveness.round_trip();
}

LaneCounters Session::lane_counters(LaneNumber number) const {
  const LaneState* lane = lane_at(number);
  if (lane == nullptr) return {};
  return {lane->sent_bytes, lane->received_bytes, lane->liveness.known_round_trip()};
}

void Session::probe(TimePoint now) {
  for (auto& [number, lane] : context_->lanes) lane->liveness.probe(now);
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

bool Session::tick(LaneNumber number, TimePoint now, std::size_t undrained_bytes, bool arriving) {
  streams_.tick(now);
  LaneState* lane = lane_at(number);
  if (lane == nullptr) return true;
  if (now >= lane->window.open_at()) lane->paced = false;
  if (now >= lane->ack_due) lane->owe_ack = true;
  Liveness& liveness = lane->liveness;
  if (!liveness.tick(now, undrained_bytes, arriving)) return false;
  if (!liveness.awaits_sign() && is_ping_due(*lane, now)) {
    liveness.ask(now);
  } else {
    liveness.ask_early(now);
  }
  return true;
}

bool Session::is_ping_due(const LaneState& lane, TimePoint now) const {
  const auto silence = lane.liveness.silence(now);
  if (silence >= kIdleSilence && lane.liveness.asks()) return true;
  if (silence < kOwedSilence || (!serves(lane) && !lane.exchanging())) return false;
  return silence >= kIdleSilence || owed(lane);
}

// No reason to give the lane up: what is lost is sent again, and may come through. Another one may be faster.
bool Session::silent(LaneNumber number, TimePoint now) const {
  const LaneState* lane = lane_at(number);
  return lane != nullptr && lane->liveness.silent(now);
}

TimePoint Session::next_deadline() const {
  TimePoint next = streams_.next_deadline();
  const bool in_use = streams_.size() > 0 || flows_.size() > 0 || listeners_.size() > 0;
  for (const auto& [number, lane] : context_->lanes) {
    if (lane->paced) next = std::min(next, lane->window.open_at());
    if (!lane->owe_ack) next = std::min(next, lane->ack_due);
    next = std::min(next, lane->liveness.next_deadline(in_use || lane->exchanging()));
  }
  return next;
}

}  // namespace zks::session
