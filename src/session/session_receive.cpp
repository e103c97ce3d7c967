// SPDX-License-Identifier: MIT
//
// Frames from the peer. They are authentic, which makes them attributable, not true: every field is checked
// against what this side knows. A kProtocol result ends the session.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {
namespace {

using Phase = StreamState::Phase;

}  // namespace

Result<> Session::receive(LaneNumber number, ByteView frames, std::size_t record_bytes, TimePoint now) {
  LaneState* known = lane_at(number);
  if (known == nullptr) return {};
  LaneState& lane = *known;
  lane.last_received = now;
  if (lane.ask_at != TimePoint::max()) lane.ask_at = now + kAskAfter;
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
  const bool hello = std::holds_alternative<HelloFrame>(frame);
  if (hello == lane.hello_received) return violation("HELLO or WELCOME must come first, and once");
  const bool upkeep = hello || std::holds_alternative<PingFrame>(frame) ||
                      std::holds_alternative<LaneAckFrame>(frame) ||
                      std::holds_alternative<PaddingFrame>(frame);
  if (!upkeep && options().role == Role::kClient) lane.ask_at = now + kAskAfter;
  return std::visit([&](const auto& f) { return on(f, lane, now); }, frame);
}

Result<> Session::on(const HelloFrame& frame, LaneState& lane, TimePoint) {
  const bool from_exit = options().role == Role::kClient;
  if (frame.welcome != from_exit) return violation("HELLO from the wrong side");
  if (frame.session != options().id || frame.lane != lane.options.number) {
    return violation("HELLO for another session or lane");
  }
  lane.hello_received = true;
  peer_max_streams_ = frame.parameters.max_streams;
  if (from_exit) return on_welcome(frame, lane);
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

Result<> Session::on(const PingFrame& frame, LaneState& lane, TimePoint now) {
  if (!frame.pong) {
    if (lane.pongs.size() >= kMaxPongsOwed) lane.pongs.pop_front();
    lane.pongs.push_back(frame.token);
    return {};
  }
  if (!lane.ping || !lane.ping->sent || lane.ping->token != frame.token) return {};
  const std::chrono::nanoseconds sample = now - lane.ping->sent_at;
  lane.round_trip = lane.round_trip_known ? (lane.round_trip * 7 + sample) / 8 : sample;
  lane.least_round_trip = lane.round_trip_known ? std::min(lane.least_round_trip, sample) : sample;
  lane.round_trip_known = true;
  lane.window.round_trip(sample, now);
  lane.last_rtt_sample = now;
  lane.ping.reset();
  return {};
}

Result<> Session::on(const OpenFrame& frame, LaneState& lane, TimePoint now) {
  const bool from_client = options().role == Role::kExit;
  if ((frame.stream % 2 == 0) != from_client) return violation("OPEN with an id of the other side");
  if (StreamState* known = find(frame.stream)) {
    if (known->phase == Phase::kOpen) known->owe_opened = true;
    if (known->phase == Phase::kReset) known->owe_reset = true;
    owe(*known);
    return {};
  }
  const auto wanted = listeners_.accepts(frame);
  if (!wanted) return wanted.error();
  if (streams_.size() >= most_streams()) return violation("more streams than max-streams allows");
  // A stream that the client has forgotten may still be here: its DONE came on another lane, later.
  const bool full = streams_.size() >= options().max_streams && open_streams() >= options().max_streams;
  const bool refuse = context_->leaving || (full && !make_place());
  StreamState& stream = make_stream(frame.stream, lane.options.number, now);
  if (auto credited = stream.send.credit(0, frame.limit); !credited) return credited;
  if (refuse) {
    reset(stream.id, context_->leaving ? ResetCode::kSessionLost : ResetCode::kLimit);
    return {};
  }
  if (!*wanted) {
    reset(stream.id, ResetCode::kConnectionRefused);
    return {};
  }
  push({.kind = Event::Kind::kOpen,
        .stream = frame.stream,
        .address = frame.destination,
        .listener = frame.listener});
  return {};
}

// Ends the stream that can be spared most. False when there is none.
bool Session::make_place() {
  const auto spared = longest_half_closed();
  if (!spared) return false;
  reset(*spared, ResetCode::kLimit);
  push({.kind = Event::Kind::kReset, .stream = *spared, .code = ResetCode::kLimit});
  return true;
}

// A frame for a stream that we would have opened, but never did, is a lie; for one that was forgotten it is
// late.
Result<> Session::check_known_parity(StreamId id) const {
  const bool ours = (id % 2 == 0) == (options().role == Role::kClient);
  if (ours && id >= next_id_) return violation("frame for a stream that was never opened");
  return {};
}

Result<> Session::on(const OpenedFrame& frame, LaneState&, TimePoint) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (!stream->ours) return violation("OPENED for a stream of the other side");
  if (stream->phase != Phase::kOpening) return {};
  if (frame.bound.kind == Destination::Kind::kName) return violation("OPENED bound to a name");
  if (auto credited = stream->send.credit(0, frame.limit); !credited) return credited;
  stream->phase = Phase::kOpen;
  push({.kind = Event::Kind::kOpened, .stream = frame.stream, .address = frame.bound});
  return {};
}

Result<> Session::on(const DataFrame& frame, LaneState&, TimePoint) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->phase == Phase::kReset) return {};
  if (stream->phase == Phase::kOpening) return violation("DATA before OPENED");
  const std::uint64_t before = stream->receive.readable();
  if (auto taken = stream->receive.data(frame.offset, frame.bytes); !taken) return taken;
  if (stream->wants_bytes && stream->receive.readable() > before) {
    stream->wants_bytes = false;
    push({.kind = Event::Kind::kReadable, .stream = frame.stream});
  }
  return {};
}

Result<> Session::on(const FinFrame& frame, LaneState&, TimePoint) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->phase == Phase::kReset) return {};
  if (stream->phase == Phase::kOpening) return violation("FIN before OPENED");
  if (auto taken = stream->receive.fin(frame.final_offset); !taken) return taken;
  if (stream->wants_bytes) {
    stream->wants_bytes = false;
    push({.kind = Event::Kind::kReadable, .stream = frame.stream});
  }
  return {};
}

Result<> Session::on(const CreditFrame& frame, LaneState&, TimePoint now) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->phase == Phase::kReset) return {};
  if (stream->phase == Phase::kOpening) return violation("CREDIT before OPENED");
  const std::uint64_t before = stream->send.buffered();
  if (auto taken = stream->send.credit(frame.consumed, frame.limit); !taken) return taken;
  send_buffered_ -= before - stream->send.buffered();
  if (stream->send.buffered() < before) stream->moved_at = now;
  note_sent_freed();
  offer_room(*stream);
  schedule(*stream);
  settle(*stream);
  return {};
}

Result<> Session::on(const ResetFrame& frame, LaneState&, TimePoint) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->over()) return {};
  stream->phase = Phase::kReset;
  stream->reset_code = frame.code;
  drop_buffers(*stream);
  push({.kind = Event::Kind::kReset, .stream = frame.stream, .code = frame.code});
  settle(*stream);
  return {};
}

Result<> Session::on(const DoneFrame& frame, LaneState&, TimePoint) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (!stream->over()) return violation("DONE for a stream that is not over");
  stream->done_received = true;
  settle(*stream);
  return {};
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
  push({.kind = Event::Kind::kGoaway, .goaway = frame.code, .text = frame.text});
  return {};
}

}  // namespace zks::session
