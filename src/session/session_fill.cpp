// SPDX-License-Identifier: MIT
//
// Composes the frames of the next record, as late as possible: called when the lane can take one. Order: what
// keeps the lane alive, credit, control frames, datagrams, then stream data in deficit round robin. A stream
// that starts to send after it was empty goes first for one quantum, so that keystrokes and requests overtake
// bulk (the idea of FQ-CoDel, RFC 8290, section 4). The quantum grows with the path's rate (lane_window.hpp).
#include "session/session.hpp"

namespace zks::session {
namespace {

// What is left of a quantum and less is added to the next one: it is not worth a frame of its own.
constexpr std::int64_t kLeftOver = 1024;
constexpr std::size_t kSmallestData = 64;  // a DATA frame with less room than this waits for the next record
constexpr std::size_t kMinRecordRoom = 512;
constexpr auto kRttSampleEvery = std::chrono::seconds(1);

using Turn = StreamState::Turn;

}  // namespace

std::size_t Session::fill(LaneNumber number, MutableBytes buffer, TimePoint now) {
  LaneState* known = lane_at(number);
  if (known == nullptr || buffer.size() < kMinRecordRoom) return 0;
  LaneState& lane = *known;
  const std::uint64_t limit = lane.limit();
  const std::uint64_t used = lane.unacknowledged() + lane.options.record_overhead;
  const auto room_below = [&](std::uint64_t bound) {
    return static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), bound > used ? bound - used : 0));
  };

  ByteWriter urgent(buffer.first(room_below(limit + kUrgentBytes)));
  fill_urgent(urgent, lane, now);
  const std::size_t upkeep = urgent.written();
  if (!lane.streams_held()) fill_credits(urgent, lane, now);
  std::size_t written = urgent.written();

  const std::size_t room = room_below(limit);
  if (room > written) {
    const std::size_t usual = std::min(room, kUsualFrames);
    ByteWriter out(buffer.first(std::max(usual, written)));
    out.advance(written);
    if (lane.hello_sent && lane.owe_table && !lane.owe_lane_down) fill_table(out, lane);
    if (!lane.streams_held()) {
      if (lane.hello_received) listeners_.fill(out);
      fill_control(out, lane);
    }
    written = out.written();
    if (!lane.streams_held()) written = fill_turns(buffer.first(room), written, lane, now);
  }
  if (written == 0) return 0;
  if (written > upkeep && options().role == Role::kClient && lane.ask_at == TimePoint::max())
    lane.ask_at = now + kAskAfter;
  lane.sent_bytes += written + lane.options.record_overhead;
  // Without bulk behind it, it may be acknowledged at leisure.
  if (!lane.busy.empty() && lane.unacknowledged() >= kLaneAckLeast)
    lane.window.sent(lane.sent_bytes, lane.acknowledged_bytes, now);
  return written;
}

// Datagrams and stream data, behind the first `written` bytes; returns how many there are then.
std::size_t Session::fill_turns(MutableBytes buffer, std::size_t written, LaneState& lane, TimePoint now) {
  const std::size_t usual = std::min(buffer.size(), kUsualFrames);
  ByteWriter datagrams(buffer);
  datagrams.advance(written);
  DatagramTurn turn{usual, !lane.fresh.empty() || !lane.busy.empty(), lane.datagram_lead};
  // No state waits for the answer to a request, so nothing else would find out that this lane is dead. The
  // exit may refuse one that is not usable yet.
  if (lane.usable() && requests_.fill(datagrams, turn, now) && context_->client() && !lane.ping) {
    request_ping(lane, now);
  }
  flows_.fill(datagrams, lane.options.number, turn, now);
  lane.datagram_lead = turn.lead;
  if (datagrams.written() >= usual) return datagrams.written();
  const std::size_t bulk =
      std::max(lane.window.bytes() / LaneWindow::kRecordsInWindow, LaneWindow::kLeastQuantum);
  ByteWriter data(buffer.first(std::min(usual, datagrams.written() + bulk)));
  data.advance(datagrams.written());
  fill_data(data, lane, now);
  const std::size_t data_bytes = data.written() - datagrams.written();
  if (data_bytes > 0) lane.window.spend(data_bytes, now);
  lane.datagram_lead -= static_cast<std::int64_t>(data_bytes);
  lane.datagram_lead = std::max<std::int64_t>(lane.datagram_lead, 0);
  if (!lane.fresh.empty() || !lane.busy.empty()) return data.written();
  ByteWriter rest(buffer);
  rest.advance(data.written());
  DatagramTurn rest_turn{usual};
  flows_.fill(rest, lane.options.number, rest_turn, now);
  lane.datagram_lead = rest_turn.lead;
  return rest.written();
}

bool Session::fill_hello(ByteWriter& out, LaneState& lane) {
  HelloFrame hello;
  hello.welcome = options().role == Role::kExit;
  hello.session = options().id;
  hello.lane = lane.options.number;
  hello.mode = lane.options.mode;
  hello.instance = hello.welcome ? options().instance : exit_instance_;
  hello.parameters.max_streams = options().max_streams;
  hello.parameters.orphan_seconds = options().orphan_seconds;
  hello.parameters.max_lanes = kMaxLanes;
  hello.parameters.max_flows = options().max_flows;
  hello.parameters.max_listeners = options().max_listeners;
  hello.parameters.capabilities = options().capabilities;
  return lane.hello_sent = encode_frame(out, hello);
}

void Session::fill_urgent(ByteWriter& out, LaneState& lane, TimePoint now) {
  if (!lane.hello_sent && !fill_hello(out, lane)) return;
  if (lane.owe_lane_down) {
    const bool client = options().role == Role::kClient;
    const LaneDownFrame down{client ? lane.declared : std::vector<LaneNumber>(dead_.begin(), dead_.end())};
    lane.owe_lane_down = !down.lanes.empty() && !encode_frame(out, down);
  }
  while (!lane.pongs.empty() && encode_frame(out, PingFrame{true, lane.pongs.front()})) {
    lane.pongs.pop_front();
    lane.owe_ack = lane.received_bytes > lane.acknowledged_to_peer;
  }
  if (lane.ping && !lane.ping->sent && encode_frame(out, PingFrame{false, lane.ping->token})) {
    lane.ping->sent = true;
    lane.ping->sent_at = now;
  }
  if (lane.owe_ack && encode_frame(out, LaneAckFrame{lane.received_bytes})) {
    lane.owe_ack = false;
    lane.ack_due = TimePoint::max();
    lane.acknowledged_at = now;
    lane.acknowledged_to_peer = lane.received_bytes;
  }
  if (goaway_ && !goaway_sent_ && encode_frame(out, *goaway_)) goaway_sent_ = lane.told_goaway = true;
}

void Session::fill_credits(ByteWriter& out, LaneState& lane, TimePoint now) {
  const std::size_t before = out.written();
  while (!lane.credits.empty()) {
    StreamState* stream = find(lane.credits.front());
    if (stream != nullptr && stream->receive.credit_due()) {
      const auto& receive = stream->receive;
      const std::uint64_t limit = std::max(receive.limit(), receive.consumed() + receive.window());
      if (!encode_frame(out, CreditFrame{stream->id, receive.consumed(), limit})) return;
      stream->receive.credit_sent();
      lane.credit_said = true;
    }
    if (stream != nullptr) stream->in_credits = false;
    lane.credits.pop_front();
  }
  const bool sample_due = !lane.ping && now - lane.last_rtt_sample >= kRttSampleEvery;
  if (out.written() > before && sample_due) request_ping(lane, now);  // goes out with the next record
}

void Session::fill_control(ByteWriter& out, LaneState& lane) {
  while (!lane.control.empty()) {
    StreamState* stream = find(lane.control.front());
    if (stream != nullptr) {
      if (!fill_control_of(out, *stream)) return;
      stream->in_control = false;
      lane.control.pop_front();
      settle(*stream);
      continue;
    }
    lane.control.pop_front();
  }
}

// False when a frame did not fit; what was written is no longer owed.
bool Session::fill_control_of(ByteWriter& out, StreamState& stream) {
  const std::uint64_t limit = stream.receive.limit();
  if (stream.owe_open && stream.phase == StreamState::Phase::kOpening) {
    if (!encode_frame(out, OpenFrame{stream.id, stream.address, limit, stream.listener})) return false;
  }
  stream.owe_open = false;
  if (stream.owe_opened && stream.phase == StreamState::Phase::kOpen) {
    if (!encode_frame(out, OpenedFrame{stream.id, limit, stream.address})) return false;
  }
  stream.owe_opened = false;
  if (stream.owe_reset && !encode_frame(out, ResetFrame{stream.id, stream.reset_code})) return false;
  stream.owe_reset = false;
  if (stream.owe_done) {
    // The peer believes DONE only after the CREDIT for its FIN.
    if (stream.phase != StreamState::Phase::kReset && stream.receive.credit_due()) {
      const CreditFrame credit{stream.id, stream.receive.consumed(), stream.receive.limit()};
      if (!encode_frame(out, credit)) return false;
      stream.receive.credit_sent();
    }
    if (!encode_frame(out, DoneFrame{stream.id})) return false;
    stream.owe_done = false;
    stream.done_sent = true;
  }
  return true;
}

void Session::fill_data(ByteWriter& out, LaneState& lane, TimePoint now) {
  while (out.room() >= kSmallestData) {
    const bool fresh = !lane.fresh.empty();
    auto& queue = fresh ? lane.fresh : lane.busy;
    if (queue.empty()) return;
    if (!fresh && lane.unacknowledged() + out.written() >= lane.window.bytes()) return;
    if (!fresh && lane.window.open_at() > now) {
      lane.paced = true;
      return;
    }
    StreamState* stream = find(queue.front());
    if (stream == nullptr || stream->phase != StreamState::Phase::kOpen) {
      if (stream != nullptr) stream->turn = Turn::kNone;
      queue.pop_front();
      continue;
    }
    if (stream->deficit <= kLeftOver) stream->deficit += static_cast<std::int64_t>(lane.window.quantum());
    if (!fill_data_of(out, *stream)) return;  // the record is full; this stream goes on in the next one
    queue.pop_front();
    // An empty stream leaves by way of the busy queue only, or one that is filled in small pieces would
    // always be fresh and starve the others.
    const bool empty = stream->send.sendable() == 0 && !stream->send.fin_due();
    const bool leaves = empty && stream->turn == Turn::kBusy;
    stream->turn = leaves ? Turn::kNone : Turn::kBusy;
    if (!leaves) lane.busy.push_back(stream->id);
  }
}

// Sends of one stream until its deficit or its bytes are used up. False when the record was full before that.
bool Session::fill_data_of(ByteWriter& out, StreamState& stream) {
  while (stream.deficit > kLeftOver && stream.send.sendable() > 0) {
    if (!write_data(out, stream)) return false;
  }
  if (stream.send.fin_due()) {
    if (!encode_frame(out, FinFrame{stream.id, stream.send.end()})) return false;
    stream.send.fin_sent();
  }
  return true;
}

bool Session::write_data(ByteWriter& out, StreamState& stream) {
  if (out.room() < kMaxDataHeader + 1) return false;
  const std::uint64_t size = std::min({stream.send.sendable(), static_cast<std::uint64_t>(stream.deficit),
                                       static_cast<std::uint64_t>(out.room() - kMaxDataHeader)});
  out.u8(static_cast<std::uint8_t>(FrameType::kData));
  out.varint(stream.id);
  out.varint(stream.send.next());
  out.varint(size);
  stream.send.take(out.free_space().first(static_cast<std::size_t>(size)));
  out.advance(static_cast<std::size_t>(size));
  stream.deficit -= static_cast<std::int64_t>(size);
  if (stream.send.low()) offer_room(stream);
  return true;
}

}  // namespace zks::session
