// SPDX-License-Identifier: MIT
//
// Frames from the peer. They are authentic, which makes them attributable, not true: every field is checked
// against what this side knows. A kProtocol result ends the session.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {

Result<> Session::receive(LaneNumber number, ByteView frames, std::size_t record_bytes, TimePoint now) {
  LaneState* known = lane_at(number);
  if (known == nullptr) return {};
  LaneState& lane = *known;
  lane.liveness.received(now);
  lane.credit_said = false;
  lane.received_bytes += record_bytes;
  const std::uint64_t unacknowledged = lane.received_bytes - lane.acknowledged_to_peer;
  if (unacknowledged >= kLaneAckLeast)
    lane.ack_due = std::min(lane.ack_due, std::max(now, lane.acknowledged_at + kLaneAckPause));
  if (unacknowledged >= kLaneAckEvery || now >= lane.ack_due) lane.owe_ack = true;
  ByteReader in(frames);
  while (!in.empty()) {
    const auto frame = decode_frame(in);
    if (!frame) return frame.error();
    if (auto done = on_frame(*frame, lane, now); !done) return done;
  }
  return {};
}

Result<> Session::on_frame(const Frame& frame, LaneState& lane, TimePoint now) {
  const bool hello = std::holds_alternative<HelloFrame>(frame) || std::holds_alternative<WelcomeFrame>(frame);
  if (hello == lane.hello_received) return violation("HELLO or WELCOME must come first, and once");
  const bool upkeep =
      hello || std::holds_alternative<PingFrame>(frame) || std::holds_alternative<PongFrame>(frame) ||
      std::holds_alternative<LaneAckFrame>(frame) || std::holds_alternative<PaddingFrame>(frame);
  if (!upkeep && context_->client()) lane.liveness.work_received(now);
  return std::visit([&](const auto& f) { return on(f, lane, now); }, frame);
}

// What HELLO and WELCOME have in common.
Result<> Session::on_greeting(const Greeting& greeting, Role of, LaneState& lane) {
  if (of == options().role) return violation("HELLO or WELCOME from the wrong side");
  if (greeting.session != options().id || greeting.lane != lane.options.number) {
    return violation("HELLO or WELCOME for another session or lane");
  }
  lane.hello_received = true;
  streams_.peer_allows(greeting.parameters.max_streams);
  return {};
}

Result<> Session::on(const HelloFrame& frame, LaneState& lane, TimePoint) {
  if (auto taken = on_greeting(frame, Role::kClient, lane); !taken) return taken;
  flows_.place();
  const bool resumes = lane.options.mode == HelloMode::kResume;
  if (resumes && frame.mode != HelloMode::kResume) return violation("HELLO does not resume");
  const bool joins = lane.options.mode == HelloMode::kJoin;
  if (joins != (frame.mode == HelloMode::kJoin)) return violation("HELLO joins, or does not");
  serve_waiting(lane);
  lane.ignore_tables = frame.mode == HelloMode::kResume && !resumes;
  return {};
}

Result<> Session::on(const LaneAckFrame& frame, LaneState& lane, TimePoint now) {
  if (frame.received_bytes > lane.sent_bytes) return violation("LANE_ACK for bytes that were not sent");
  if (frame.received_bytes <= lane.acknowledged_bytes) return {};
  lane.acknowledged_bytes = frame.received_bytes;
  lane.window.acknowledged(frame.received_bytes, now);
  return {};
}

Result<> Session::on(const PingFrame& frame, LaneState& lane, TimePoint) {
  lane.liveness.on(frame);
  return {};
}

Result<> Session::on(const PongFrame& frame, LaneState& lane, TimePoint now) {
  if (const auto sample = lane.liveness.on(frame, now)) lane.window.round_trip(*sample, now);
  return {};
}

Result<> Session::on(const OpenFrame& frame, LaneState& lane, TimePoint now) {
  Result<bool> wanted = true;
  if (!streams_.has(frame.stream)) wanted = listeners_.accepts(frame);
  if (!wanted) return wanted.error();
  return streams_.on(frame, lane.options.number, *wanted, most_streams(), now);
}

Result<> Session::on(const ListeningFrame& frame, LaneState&, TimePoint) {
  if (auto taken = listeners_.on(frame); !taken) return taken;
  if (listeners_.takes_datagrams(frame.listener)) flows_.begin_of(frame.listener);
  return {};
}

// The application hears of the flow's end before the listener's.
Result<> Session::on(const UnlistenFrame& frame, LaneState&, TimePoint) {
  flows_.end_of(frame.listener);
  return listeners_.on(frame);
}

Result<> Session::on(const GoawayFrame& frame, LaneState&, TimePoint) {
  context_->leaving = true;
  push(GoawayEvent{.code = frame.code, .text = frame.text});
  return {};
}

}  // namespace zks::session
