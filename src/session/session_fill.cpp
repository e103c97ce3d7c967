// SPDX-License-Identifier: MIT
//
// Composes the frames of the next record, as late as possible: called when the lane can take one. Order: what
// keeps the lane alive, credit, control frames, datagrams, then stream data (streams_fill.cpp).
#include "session/session.hpp"

namespace zks::session {
namespace {

constexpr std::size_t kMinRecordRoom = 512;

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
  if (!lane.streams_held() && streams_.fill_credits(urgent, number)) {
    lane.credit_said = true;
    if (lane.liveness.sample_due(now)) lane.liveness.request(now);  // goes out with the next record
  }
  std::size_t written = urgent.written();

  const std::size_t room = room_below(limit);
  if (room > written) {
    const std::size_t usual = std::min(room, kUsualFrames);
    ByteWriter out(buffer.first(std::max(usual, written)));
    out.advance(written);
    if (lane.hello_sent && lane.owe_table && !lane.owe_lane_down) {
      lane.owe_table = !streams_.fill_table(out, number);
      finish_exchange(lane);
    }
    if (!lane.streams_held()) {
      if (lane.hello_received) listeners_.fill(out);
      streams_.fill_control(out, number);
    }
    written = out.written();
    if (!lane.streams_held()) written = fill_turns(buffer.first(room), written, lane, now);
  }
  if (written == 0) return 0;
  if (written > upkeep && context_->client()) lane.liveness.work_sent(now);
  lane.sent_bytes += written + lane.options.record_overhead;
  // Without bulk behind it, it may be acknowledged at leisure.
  if (streams_.bulk_waits_on(number) && lane.unacknowledged() >= kLaneAckLeast)
    lane.window.sent(lane.sent_bytes, lane.acknowledged_bytes, now);
  return written;
}

// Datagrams and stream data, behind the first `written` bytes; returns how many there are then.
std::size_t Session::fill_turns(MutableBytes buffer, std::size_t written, LaneState& lane, TimePoint now) {
  const std::size_t usual = std::min(buffer.size(), kUsualFrames);
  ByteWriter datagrams(buffer);
  datagrams.advance(written);
  DatagramTurn turn{usual, streams_.wait_on(lane.options.number), lane.datagram_lead};
  // No state waits for the answer to a request, so nothing else would find out that this lane is dead. The
  // exit may refuse one that is not usable yet.
  if (lane.usable() && requests_.fill(datagrams, turn, now) && context_->client() && !lane.liveness.asks()) {
    lane.liveness.request(now);
  }
  flows_.fill(datagrams, lane.options.number, turn, now);
  lane.datagram_lead = turn.lead;
  if (datagrams.written() >= usual) return datagrams.written();
  const std::size_t bulk =
      std::max(lane.window.bytes() / LaneWindow::kRecordsInWindow, LaneWindow::kLeastQuantum);
  ByteWriter data(buffer.first(std::min(usual, datagrams.written() + bulk)));
  data.advance(datagrams.written());
  BulkTurn bulk_turn{lane.unacknowledged(), lane.window.bytes(), lane.window.quantum(),
                     lane.window.open_at() <= now};
  streams_.fill_data(data, lane.options.number, bulk_turn);
  if (bulk_turn.paced) lane.paced = true;
  const std::size_t data_bytes = data.written() - datagrams.written();
  if (data_bytes > 0) lane.window.spend(data_bytes, now);
  lane.datagram_lead -= static_cast<std::int64_t>(data_bytes);
  lane.datagram_lead = std::max<std::int64_t>(lane.datagram_lead, 0);
  if (streams_.wait_on(lane.options.number)) return data.written();
  ByteWriter rest(buffer);
  rest.advance(data.written());
  DatagramTurn rest_turn{usual};
  flows_.fill(rest, lane.options.number, rest_turn, now);
  lane.datagram_lead = rest_turn.lead;
  return rest.written();
}

bool Session::fill_hello(ByteWriter& out, LaneState& lane) {
  const bool client = context_->client();
  Greeting hello;
  hello.session = options().id;
  hello.lane = lane.options.number;
  hello.mode = lane.options.mode;
  hello.instance = client ? exit_instance_ : options().instance;
  hello.parameters.max_streams = options().max_streams;
  hello.parameters.orphan_seconds = options().orphan_seconds;
  hello.parameters.max_lanes = kMaxLanes;
  hello.parameters.max_flows = options().max_flows;
  hello.parameters.max_listeners = options().max_listeners;
  hello.parameters.capabilities = options().capabilities;
  return lane.hello_sent = encode_frame(out, client ? Frame(HelloFrame{hello}) : Frame(WelcomeFrame{hello}));
}

void Session::fill_urgent(ByteWriter& out, LaneState& lane, TimePoint now) {
  if (!lane.hello_sent && !fill_hello(out, lane)) return;
  if (lane.owe_lane_down) {
    const bool client = context_->client();
    const auto& dead = context_->lanes.dead();
    const LaneDownFrame down{client ? lane.declared : std::vector<LaneNumber>(dead.begin(), dead.end())};
    lane.owe_lane_down = !down.lanes.empty() && !encode_frame(out, down);
  }
  if (lane.liveness.fill(out, now)) lane.owe_ack = lane.received_bytes > lane.acknowledged_to_peer;
  if (lane.owe_ack && encode_frame(out, LaneAckFrame{lane.received_bytes})) {
    lane.owe_ack = false;
    lane.ack_due = TimePoint::max();
    lane.acknowledged_at = now;
    lane.acknowledged_to_peer = lane.received_bytes;
  }
  if (goaway_ && !goaway_sent_ && encode_frame(out, *goaway_)) goaway_sent_ = lane.told_goaway = true;
}

}  // namespace zks::session
