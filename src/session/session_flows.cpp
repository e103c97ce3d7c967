// SPDX-License-Identifier: MIT
//
// Flows (PROTOCOL.md, "Flows"): what carries UDP. The client opens and names them; the exit has a socket for
// each. A datagram goes out on the lane of its flow within kDatagramPatience or not at all, so that a lane
// that is full, slow or gone makes UDP lossy, as any network does, and never late. No datagram is owed an
// answer, and a flow has no state that an exchange of tables would have to agree on: when its lane dies the
// client just says FLOW_OPEN again on another one.
// Flows of listeners (session_listen.cpp) are begun and ended with them, and use any lane.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {
namespace {

constexpr std::size_t kTurnBytes = 16 * 1024;  // of one flow, before it is the next one's turn

// A FLOW_CLOSE that finds no place is made up for by the exit's idle timeout, or the client's next FLOW_OPEN.
void owe_close(LaneState& lane, FlowId id, std::uint64_t max_flows) {
  if (lane.flow_closes.size() < 2 * max_flows) lane.flow_closes.push_back(id);
}

}  // namespace

FlowState* Session::find_flow(FlowId id) {
  const auto at = flows_.find(id);
  return at == flows_.end() ? nullptr : &at->second;
}

Result<FlowId> Session::open_flow() {
  if (context_->leaving || !peer_max_flows_)
    return make_error(ErrorKind::kClosed, "there is no session for a flow");
  if (*peer_max_flows_ == 0) return make_error(ErrorKind::kRefused, "this exit carries no UDP");
  if (flows_.size() - listener_flows_ >= std::min(options().max_flows, *peer_max_flows_)) {
    return make_error(ErrorKind::kLimit, "too many flows in this session");
  }
  FlowState& flow = flows_[next_flow_];
  flow.id = next_flow_;
  next_flow_ += 2;
  flow.owe_open = true;
  schedule(flow);
  return flow.id;
}

void Session::close_flow(FlowId id) {
  const auto at = flows_.find(id);
  if (at == flows_.end() || is_of_listener(id)) return;
  LaneState* lane = lane_at(at->second.lane);
  const FlowState flow = take_flow(at);
  if (lane != nullptr && !flow.owe_open) owe_close(*lane, id, options().max_flows);
}

// Out of the table, with all that it has queued.
FlowState Session::take_flow(std::map<FlowId, FlowState>::iterator at) {
  FlowState flow = std::move(at->second);
  flows_.erase(at);
  if (LaneState* lane = lane_at(flow.lane); lane != nullptr) std::erase(lane->flows, flow.id);
  context_->lanes.bind(flow.lane, 0);
  queued_datagram_bytes_ -= flow.queued_bytes;
  if (is_of_listener(flow.id)) --listener_flows_;
  return flow;
}

void Session::begin_flow_of(ListenerId id) {
  const auto [at, is_new] = flows_.try_emplace(flow_of(id));
  if (!is_new) return;
  at->second.id = flow_of(id);
  ++listener_flows_;
}

void Session::end_flow_of(ListenerId id) {
  const auto at = flows_.find(flow_of(id));
  if (at == flows_.end()) return;
  take_flow(at);
  push({.kind = Event::Kind::kFlowClosed, .flow = flow_of(id)});
}

bool Session::send_datagram(FlowId id, const Destination& address, ByteView bytes, TimePoint now) {
  if (bytes.size() > kMaxDatagram || !can_be_sent(address)) return false;
  return queue_item(id, {address, Bytes(bytes.begin(), bytes.end()), std::nullopt, now});
}

bool Session::send_flow_error(FlowId id, const Destination& address, IcmpError error, TimePoint now) {
  if (!can_be_sent(address)) return false;
  return queue_item(id, {address, {}, error, now});
}

bool Session::queue_item(FlowId id, FlowItem item) {
  FlowState* flow = find_flow(id);
  if (flow == nullptr) return false;
  drop_late(*flow, item.queued_at);
  const std::size_t cost = item.cost();
  if (flow->queued_bytes + queued_datagram_bytes_ + cost > kMaxQueuedDatagramBytes) {
    ++flow_counters_.dropped_full;
    return false;
  }
  flow->queued_bytes += cost;
  queued_datagram_bytes_ += cost;
  flow->queue.push_back(std::move(item));
  schedule(*flow);
  return true;
}

void Session::drop_late(FlowState& flow, TimePoint now) {
  while (!flow.queue.empty() && now - flow.queue.front().queued_at > kDatagramPatience) {
    flow.queued_bytes -= flow.queue.front().cost();
    queued_datagram_bytes_ -= flow.queue.front().cost();
    flow.queue.pop_front();
    ++flow_counters_.dropped_late;
  }
}

// On its lane, or on another one when that is gone: datagrams carry no promise of order.
void Session::schedule(FlowState& flow) {
  if (flow.in_turn || (!flow.owe_open && flow.queue.empty())) return;
  LaneState* lane = lane_at(flow.lane);
  if (lane == nullptr) lane = context_->lanes.least_loaded();
  if (lane == nullptr) return;
  context_->lanes.bind(flow.lane, lane->options.number);
  flow.in_turn = true;
  lane->flows.push_back(flow.id);
}

// Its lane is gone, and with it perhaps the FLOW_OPEN.
void Session::unbind_flows(LaneNumber dead) {
  for (auto& [id, flow] : flows_) {
    if (flow.lane != dead) continue;
    context_->lanes.bind(flow.lane, 0);
    flow.in_turn = false;
    flow.owe_open = options().role == Role::kClient && !is_of_listener(id);
  }
}

void Session::place_flows() {
  for (auto& [id, flow] : flows_) schedule(flow);
}

void Session::end_flows() {
  for (auto& [id, flow] : flows_) {
    context_->lanes.bind(flow.lane, 0);
    push({.kind = Event::Kind::kFlowClosed, .flow = id});
  }
  flows_.clear();
  listener_flows_ = 0;
  queued_datagram_bytes_ = 0;
}

// Datagrams go before streams, but where both have something to send they take turns.
bool Session::may_lead(const LaneState& lane) const {
  const bool streams_wait = !lane.fresh.empty() || !lane.busy.empty();
  return !streams_wait || lane.datagram_lead < kMaxDatagramLead;
}

// `usual`: up to where a record is filled, but for a datagram that is too large for that.
void Session::fill_flows(ByteWriter& out, std::size_t usual, LaneState& lane, TimePoint now) {
  while (!lane.flow_closes.empty() && encode_frame(out, FlowCloseFrame{lane.flow_closes.front()})) {
    lane.flow_closes.pop_front();
  }
  while (!lane.flows.empty() && may_lead(lane)) {
    FlowState* flow = find_flow(lane.flows.front());
    if (flow != nullptr && !fill_flow(out, usual, *flow, lane, now)) return;
    lane.flows.pop_front();
    if (flow == nullptr) continue;
    flow->in_turn = false;
    schedule(*flow);
  }
}

// One turn of a flow. False when something did not fit; it is next in the next record.
bool Session::fill_flow(ByteWriter& out, std::size_t usual, FlowState& flow, LaneState& lane, TimePoint now) {
  drop_late(flow, now);
  if (flow.owe_open && !encode_frame(out, FlowOpenFrame{flow.id})) return false;
  flow.owe_open = false;
  const std::size_t start = out.written();
  while (!flow.queue.empty() && out.written() - start < kTurnBytes) {
    const FlowItem& item = flow.queue.front();
    ByteWriter attempt = out;
    const bool fits = item.error ? encode_frame(attempt, FlowErrorFrame{flow.id, item.address, *item.error})
                                 : encode_frame(attempt, DatagramFrame{flow.id, item.address, item.bytes});
    const std::size_t size = attempt.written() - out.written();
    if (!fits || (attempt.written() > usual && size <= kUsualFrames)) return false;
    out = attempt;
    lane.datagram_lead += static_cast<std::int64_t>(size);
    ++flow_counters_.sent;
    flow.queued_bytes -= item.cost();
    queued_datagram_bytes_ -= item.cost();
    flow.queue.pop_front();
  }
  return true;
}

Result<> Session::on(const FlowOpenFrame& frame, LaneState& lane, TimePoint) {
  if (options().role == Role::kClient) return violation("FLOW_OPEN from an exit");
  if (is_of_listener(frame.flow)) return violation("FLOW_OPEN of a listener's flow");
  const LaneNumber number = lane.options.number;
  if (FlowState* flow = find_flow(frame.flow); flow != nullptr) {  // said again: it moves
    if (flow->lane == number) return {};
    if (LaneState* old = lane_at(flow->lane); old != nullptr) std::erase(old->flows, flow->id);
    context_->lanes.bind(flow->lane, number);
    flow->in_turn = false;
    schedule(*flow);
    return {};
  }
  if (context_->leaving || flows_.size() - listener_flows_ >= options().max_flows) {
    owe_close(lane, frame.flow, std::max<std::uint64_t>(options().max_flows, 1));
    return {};
  }
  FlowState& flow = flows_[frame.flow];
  flow.id = frame.flow;
  context_->lanes.bind(flow.lane, number);
  push({.kind = Event::Kind::kFlowOpen, .flow = frame.flow});
  return {};
}

Result<> Session::on(const DatagramFrame& frame, LaneState&, TimePoint) {
  const bool no_name = options().role == Role::kClient || is_of_listener(frame.flow);
  if (no_name && frame.address.kind == Destination::Kind::kName) {
    return violation("DATAGRAM from a name, or a listener's to one");
  }
  if (find_flow(frame.flow) == nullptr) {  // closed meanwhile, or never opened: lost, as datagrams may be
    ++flow_counters_.dropped_unknown;
    return {};
  }
  ++flow_counters_.received;
  push({.kind = Event::Kind::kDatagram,
        .flow = frame.flow,
        .address = frame.address,
        .bytes = Bytes(frame.bytes.begin(), frame.bytes.end())});
  return {};
}

Result<> Session::on(const FlowErrorFrame& frame, LaneState&, TimePoint) {
  if (options().role == Role::kExit) return violation("FLOW_ERROR from a client");
  if (find_flow(frame.flow) == nullptr) return {};
  push({.kind = Event::Kind::kFlowError, .flow = frame.flow, .address = frame.address, .icmp = frame.error});
  return {};
}

Result<> Session::on(const FlowCloseFrame& frame, LaneState&, TimePoint) {
  if (is_of_listener(frame.flow)) return violation("FLOW_CLOSE of a listener's flow");
  const auto at = flows_.find(frame.flow);
  if (at == flows_.end()) return {};
  take_flow(at);
  push({.kind = Event::Kind::kFlowClosed, .flow = frame.flow});
  return {};
}

}  // namespace zks::session
