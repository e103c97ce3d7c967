// SPDX-License-Identifier: MIT
#include "session/flows.hpp"

#include "session/checks.hpp"

namespace zks::session {
namespace {

constexpr std::size_t kTurnBytes = 16 * 1024;  // of one flow, before it is the next one's turn

}  // namespace

FlowState* Flows::find(FlowId id) {
  const auto at = flows_.find(id);
  return at == flows_.end() ? nullptr : &at->second;
}

FlowState& Flows::add(FlowId id) {
  FlowState& flow = flows_[id];
  flow.id = id;
  return flow;
}

Result<FlowId> Flows::open() {
  if (context_->leaving || !context_->welcome) {
    return make_error(ErrorKind::kClosed, "there is no session for a flow");
  }
  if (peer_max() == 0) return make_error(ErrorKind::kRefused, "this exit carries no UDP");
  if (flows_.size() - of_listeners_ >= std::min(context_->options.max_flows, peer_max())) {
    return make_error(ErrorKind::kLimit, "too many flows in this session");
  }
  FlowState& flow = add(next_id_);
  next_id_ += 2;
  flow.owe_open = true;
  schedule(flow);
  return flow.id;
}

void Flows::close(FlowId id) {
  const auto at = flows_.find(id);
  if (at == flows_.end() || is_of_listener(id)) return;
  if (at->second.lane != 0 && !at->second.owe_open) owe_close(at->second.lane, id);
  take(at);
}

// A FLOW_CLOSE that finds no place is made up for by the exit's idle timeout, or the client's next FLOW_OPEN.
void Flows::owe_close(LaneNumber lane, FlowId id) {
  auto& closes = queues_[lane].closes;
  if (closes.size() < 2 * std::max<std::uint64_t>(context_->options.max_flows, 1)) closes.push_back(id);
}

// Out of the table, with all that it has queued.
void Flows::take(Table::iterator at) {
  FlowState& flow = at->second;
  leave_turn(flow);
  context_->lanes.bind(flow.lane, 0);
  queued_bytes_ -= flow.queued_bytes;
  if (is_of_listener(flow.id)) --of_listeners_;
  flows_.erase(at);
}

void Flows::end(Table::iterator at) {
  const FlowId id = at->first;
  take(at);
  context_->push(FlowClosedEvent{.flow = id});
}

void Flows::begin_of(ListenerId id) {
  if (flows_.contains(flow_of(id))) return;
  add(flow_of(id));
  ++of_listeners_;
}

void Flows::end_of(ListenerId id) {
  if (const auto at = flows_.find(flow_of(id)); at != flows_.end()) end(at);
}

void Flows::end_those_of_listeners() {
  for (auto at = flows_.begin(); at != flows_.end();) {
    const auto flow = at++;
    if (is_of_listener(flow->first)) end(flow);
  }
}

void Flows::end_all() {
  while (!flows_.empty()) end(flows_.begin());
  queues_.clear();
}

bool Flows::send(FlowId id, const Destination& address, ByteView bytes, TimePoint now) {
  if (bytes.size() > kMaxDatagram || !can_be_sent(address)) return false;
  return enqueue(id, {address, Bytes(bytes.begin(), bytes.end()), std::nullopt, now});
}

bool Flows::send_error(FlowId id, const Destination& address, IcmpError error, TimePoint now) {
  if (!can_be_sent(address)) return false;
  return enqueue(id, {address, {}, error, now});
}

bool Flows::enqueue(FlowId id, FlowItem item) {
  FlowState* flow = find(id);
  if (flow == nullptr) return false;
  drop_late(*flow, item.queued_at);
  const std::size_t cost = item.cost();
  if (flow->queued_bytes + queued_bytes_ + cost > kMaxQueuedDatagramBytes) {
    ++counters_.dropped_full;
    return false;
  }
  flow->queued_bytes += cost;
  queued_bytes_ += cost;
  flow->queue.push_back(std::move(item));
  schedule(*flow);
  return true;
}

void Flows::drop_first(FlowState& flow) {
  const std::size_t cost = flow.queue.front().cost();
  flow.queued_bytes -= cost;
  queued_bytes_ -= cost;
  flow.queue.pop_front();
}

void Flows::drop_late(FlowState& flow, TimePoint now) {
  while (!flow.queue.empty() && now - flow.queue.front().queued_at > kDatagramPatience) {
    drop_first(flow);
    ++counters_.dropped_late;
  }
}

// On its lane, or on another one when that is gone: datagrams carry no promise of order.
void Flows::schedule(FlowState& flow) {
  if (flow.in_turn || (!flow.owe_open && flow.queue.empty())) return;
  if (flow.lane == 0) {
    const LaneState* lane = context_->lanes.least_loaded();
    if (lane == nullptr) return;
    context_->lanes.bind(flow.lane, lane->options.number);
  }
  flow.in_turn = true;
  queues_[flow.lane].turns.push_back(flow.id);
}

void Flows::leave_turn(FlowState& flow) {
  if (!std::exchange(flow.in_turn, false)) return;
  if (const auto at = queues_.find(flow.lane); at != queues_.end()) std::erase(at->second.turns, flow.id);
}

// With the lane is gone what it had not said yet, and perhaps the FLOW_OPEN.
void Flows::leave_lane(LaneNumber dead) {
  queues_.erase(dead);
  for (auto& [id, flow] : flows_) {
    if (flow.lane != dead) continue;
    context_->lanes.bind(flow.lane, 0);
    flow.in_turn = false;
    flow.owe_open = context_->client() && !is_of_listener(id);
  }
}

void Flows::place() {
  for (auto& [id, flow] : flows_) schedule(flow);
}

void Flows::fill(ByteWriter& out, LaneNumber lane, DatagramTurn& turn, TimePoint now) {
  const auto at = queues_.find(lane);
  if (at == queues_.end()) return;
  auto& [turns, closes] = at->second;
  while (!closes.empty() && encode_frame(out, FlowCloseFrame{closes.front()})) closes.pop_front();
  while (!turns.empty() && turn.may_go_on()) {
    FlowState* flow = find(turns.front());
    if (flow != nullptr && !fill_turn(out, *flow, turn, now)) return;
    turns.pop_front();
    if (flow == nullptr) continue;
    flow->in_turn = false;
    schedule(*flow);
  }
}

// False when something did not fit; the flow is next in the next record.
bool Flows::fill_turn(ByteWriter& out, FlowState& flow, DatagramTurn& turn, TimePoint now) {
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
    if (!fits || (attempt.written() > turn.usual && size <= kUsualFrames)) return false;
    out = attempt;
    turn.sent(size);
    ++counters_.sent;
    drop_first(flow);
  }
  return true;
}

Result<> Flows::on(const FlowOpenFrame& frame, LaneNumber lane) {
  if (context_->client()) return violation("FLOW_OPEN from an exit");
  if (is_of_listener(frame.flow)) return violation("FLOW_OPEN of a listener's flow");
  if (FlowState* flow = find(frame.flow); flow != nullptr) {  // said again: it moves
    if (flow->lane == lane) return {};
    leave_turn(*flow);
    context_->lanes.bind(flow->lane, lane);
    schedule(*flow);
    return {};
  }
  if (context_->leaving || flows_.size() - of_listeners_ >= context_->options.max_flows) {
    owe_close(lane, frame.flow);
    return {};
  }
  context_->lanes.bind(add(frame.flow).lane, lane);
  context_->push(FlowOpenEvent{.flow = frame.flow});
  return {};
}

Result<> Flows::on(const DatagramFrame& frame) {
  const bool no_name = context_->client() || is_of_listener(frame.flow);
  if (no_name && frame.address.kind == Destination::Kind::kName) {
    return violation("DATAGRAM from a name, or a listener's to one");
  }
  if (find(frame.flow) == nullptr) {  // closed meanwhile, or never opened: lost, as datagrams may be
    ++counters_.dropped_unknown;
    return {};
  }
  ++counters_.received;
  context_->push(DatagramEvent{
      .flow = frame.flow, .address = frame.address, .bytes = Bytes(frame.bytes.begin(), frame.bytes.end())});
  return {};
}

Result<> Flows::on(const FlowErrorFrame& frame) {
  if (!context_->client()) return violation("FLOW_ERROR from a client");
  if (find(frame.flow) == nullptr) return {};
  context_->push(FlowErrorEvent{.flow = frame.flow, .address = frame.address, .error = frame.error});
  return {};
}

Result<> Flows::on(const FlowCloseFrame& frame) {
  if (is_of_listener(frame.flow)) return violation("FLOW_CLOSE of a listener's flow");
  if (const auto at = flows_.find(frame.flow); at != flows_.end()) end(at);
  return {};
}

}  // namespace zks::session
