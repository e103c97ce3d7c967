// SPDX-License-Identifier: MIT
//
// Flows (PROTOCOL.md, "Flows"): what carries UDP. The client opens and names them; the exit has a socket for
// each. A datagram goes out on the lane of its flow within kDatagramPatience or not at all, so that a lane
// that is full, slow or gone makes UDP lossy, as any network does, and never late. No datagram is owed an
// answer, and a flow has no state that an exchange of tables would have to agree on: when its lane dies the
// client just says FLOW_OPEN again on another one.
// Flows of listeners are begun and ended with them (Session), and use any lane.
#pragma once

#include <deque>
#include <map>

#include "session/context.hpp"
#include "session/datagram_turn.hpp"
#include "session/flow_state.hpp"

namespace zks::session {

class Flows {
 public:
  explicit Flows(SessionContext& context) : context_(&context) {}

  // --- for the application
  // kRefused: the exit takes no UDP; kLimit: too many flows; kClosed: the session is leaving, or not up yet.
  Result<FlowId> open();
  // FLOW_CLOSE, also as the exit's answer to a flow that it doesn't take; ids that are not known are ignored.
  void close(FlowId id);
  // Queues a datagram for at most kDatagramPatience. False when it is dropped at once: no such flow, too
  // long, a name that can't be sent, or too much is queued.
  bool send(FlowId id, const Destination& address, ByteView bytes, TimePoint now);
  bool send_error(FlowId id, const Destination& address, IcmpError error, TimePoint now);  // exit
  std::size_t size() const { return flows_.size(); }  // those of listeners included
  std::uint64_t peer_max() const { return context_->welcome ? context_->welcome->max_flows : 0; }
  const FlowCounters& counters() const { return counters_; }

  // --- for Session
  void begin_of(ListenerId id);
  void end_of(ListenerId id);
  void end_those_of_listeners();
  void end_all();
  void leave_lane(LaneNumber dead);  // its flows wait for another lane
  void place();                      // on a lane, those that have something to say and have none
  // Writes what is due on the lane, as far as `turn` and the record allow.
  void fill(ByteWriter& out, LaneNumber lane, DatagramTurn& turn, TimePoint now);

  Result<> on(const FlowOpenFrame& frame, LaneNumber lane);
  Result<> on(const DatagramFrame& frame);
  Result<> on(const FlowErrorFrame& frame);
  Result<> on(const FlowCloseFrame& frame);

 private:
  // Of one lane: flows with something to say, each once, in turn; flows that are closed and whose FLOW_CLOSE
  // is owed.
  struct LaneQueue {
    std::deque<FlowId> turns;
    std::deque<FlowId> closes;
  };
  using Table = std::map<FlowId, FlowState>;

  FlowState* find(FlowId id);
  FlowState& add(FlowId id);
  void take(Table::iterator at);
  void end(Table::iterator at);
  bool enqueue(FlowId id, FlowItem item);
  void drop_first(FlowState& flow);
  void drop_late(FlowState& flow, TimePoint now);
  void schedule(FlowState& flow);
  void leave_turn(FlowState& flow);
  void owe_close(LaneNumber lane, FlowId id);
  bool fill_turn(ByteWriter& out, FlowState& flow, DatagramTurn& turn, TimePoint now);

  SessionContext* context_;
  Table flows_;
  FlowId next_id_ = 0;
  std::size_t of_listeners_ = 0;  // of flows_
  std::map<LaneNumber, LaneQueue> queues_;
  std::size_t queued_bytes_ = 0;
  FlowCounters counters_;
};

}  // namespace zks::session
