// SPDX-License-Identifier: MIT
//
// A session: the streams that one client and one exit share, and the rules of PROTOCOL.md ("Frames",
// "Streams"). Sans-IO: bytes and a time point in, bytes and events out; no sockets and no clock of its own.
// Above it are the application's streams (front doors, the exit's sockets), below it lanes that seal what
// fill() composes.
//
//   session.cpp          GOAWAY, the end, and what is asked of several parts
//   session_lanes.cpp    lanes, their liveness, and when the streams of dead ones move
//   session_resume.cpp   when tables are exchanged, so that a lane goes on where others ended
//   session_receive.cpp  frames from the peer, each to its part
//   session_fill.cpp     records for the peer: what goes in first, and which part writes when
//
// The parts own what they are about, take their own frames (`on()`) and write their own into a record
// (`fill()`). None knows another; they share a SessionContext, and what concerns two of them is done here.
//   streams.hpp          the table of streams, their credit, and what of them waits for a lane
//   requests.hpp         names to look up and hosts to ping: questions and answers without a state
//   flows.hpp            flows of datagrams, which are dropped rather than queued for long
//   listeners.hpp        listeners at the exit, whose connections the exit opens as streams
//   lane_table.hpp       the lanes that are alive, those that are dead, and how much is bound to each
//   liveness.hpp         of one lane: PINGs, and what their answers or silence say
//
// Memory for a peer: receive_memory_bytes of stream data it may send us, send_memory_bytes of data that waits
// for it, 2 x max_streams table entries (3 x where the exit has max_listeners), max_flows flows and one for
// each listener, kMaxQueuedDatagramBytes of datagrams, kMaxQueuedRequestBytes of requests or their answers.
// Not thread safe: one strand.
#pragma once

#include <memory>
#include <vector>

#include "session/context.hpp"
#include "session/flows.hpp"
#include "session/listeners.hpp"
#include "session/requests.hpp"
#include "session/streams.hpp"

namespace zks::session {

// A peer's word on how long it keeps a session is believed up to this.
inline constexpr std::uint64_t kMaxOrphanSeconds = 24 * 3600;

// What a live lane has carried, in record bytes, and its smoothed round trip time, once that is known.
struct LaneCounters {
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::optional<std::chrono::nanoseconds> round_trip;
};

class Session {
 public:
  explicit Session(Options of_session);

  const SessionId& id() const { return options().id; }

  // --- lanes, by their numbers, which go up
  // A new lane, beside those that there are (kJoin, once one of them was welcomed) or instead of them: then
  // nothing of those may be given to receive() any more.
  void attach_lane(LaneOptions options, TimePoint now);
  // The lane is dead, or given up for a better one: nothing of it may be given to receive() any more. Its
  // streams move to another lane, or wait for the next one.
  void lose_lane(LaneNumber number);
  LaneNumber newest_lane() const { return context_->lanes.newest(); }  // ever heard of
  // The frames of one record, `record_bytes` long. kProtocol: the session must end (call go_away() and let
  // the GOAWAY out).
  Result<> receive(LaneNumber number, ByteView frames, std::size_t record_bytes, TimePoint now);
  // Composes the frames of the lane's next record into `out`, at least 512 bytes long; 0 when nothing may be
  // sent now. More than kUsualFrames are used only for a datagram that needs them.
  std::size_t fill(LaneNumber number, MutableBytes out, TimePoint now);
  // Liveness of a lane, and late credits. `undrained_bytes`: what the kernel still holds for the lane;
  // `arriving`: a record is on its way in. False: the lane is dead.
  bool tick(LaneNumber number, TimePoint now, std::size_t undrained_bytes, bool arriving = false);
  // Nothing comes on it, nor the answer to a PING: long before it counts as dead.
  bool silent(LaneNumber number, TimePoint now) const;
  // Record bytes of a lane, both ways.
  std::uint64_t lane_bytes(LaneNumber number) const;
  // Live lanes, and dead ones whose streams the exit may not have moved yet: at most kMaxLanes, or the exit
  // refuses what declares them.
  std::size_t lanes() const { return context_->lanes.count(); }
  // From WELCOME: how many lanes the exit takes.
  std::uint64_t max_lanes() const { return context_->welcome ? context_->welcome->max_lanes : 1; }
  // The path may have changed: asks the peer for a sign of life now.
  void probe(TimePoint now);
  TimePoint next_deadline() const;  // when tick() is due; TimePoint::max() for never
  // What happened since the last call.
  std::vector<Event> take_events() { return std::exchange(context_->events, {}); }
  std::chrono::nanoseconds round_trip(LaneNumber number) const;
  LaneCounters lane_counters(LaneNumber number) const;

  // Ends the session: no new streams from either side; GOAWAY goes out.
  void go_away(GoawayCode code, std::string text);
  // The session is over: every stream is reset with kSessionLost.
  void end();
  bool goaway_sent() const { return goaway_sent_; }
  bool leaving() const { return context_->leaving; }  // GOAWAY was sent, received or is due
  // From WELCOME; null before the first.
  std::optional<ExitCapabilities> exit_capabilities() const;
  // From WELCOME: the exit process that the session lives at, and how long it keeps it without a lane.
  const InstanceId& exit_instance() const { return exit_instance_; }
  std::chrono::seconds orphan_time() const {
    return std::chrono::seconds(std::min<std::uint64_t>(options().orphan_seconds, kMaxOrphanSeconds));
  }

  // --- streams
  Streams& streams() { return streams_; }
  const Streams& streams() const { return streams_; }
  // Exit: somebody at `from` connected to a listener of the client's. As Streams::open(); kClosed also when
  // the client has that no more.
  Result<StreamId> open(ListenerId listener, Destination from, TimePoint now);

  // --- flows: datagrams that may be lost, never late
  Flows& flows() { return flows_; }
  const Flows& flows() const { return flows_; }

  // --- requests, which may be lost
  Requests& requests() { return requests_; }
  const Requests& requests() const { return requests_; }

  // --- listeners at the exit; they end with the session, also when the exit forgot it (WelcomeEvent, kNew).
  // One of datagrams has the flow flow_of() from ListeningEvent, or listening(), on, until FlowClosedEvent.
  // Client: asks for one. kLimit: the exit allows no (more) listeners; kClosed: no session, or it is leaving.
  Result<ListenerId> listen(ListenKind kind, Destination bind) {
    return listeners_.listen(kind, std::move(bind));
  }
  // Exit: the answer to ListenEvent.
  void listening(ListenerId id, Destination bound);
  // Client: it is not wanted any more. Exit: it is refused, or over.
  void unlisten(ListenerId id, ResetCode code);
  const Listeners& listeners() const { return listeners_; }

 private:
  const Options& options() const { return context_->options; }
  void push(Event event) { context_->push(std::move(event)); }
  void reset_all();
  std::uint64_t most_streams() const;  // that the table may ever hold

  // session_lanes.cpp
  LaneState* lane_at(LaneNumber number) { return context_->lanes.find(number); }
  const LaneState* lane_at(LaneNumber number) const { return std::as_const(context_->lanes).find(number); }
  void lose_lanes();
  void agree_on_deaths();
  bool serves(const LaneState& lane) const;
  bool owed(const LaneState& lane) const;  // something the peer must still answer
  bool is_ping_due(const LaneState& lane, TimePoint now) const;

  // session_receive.cpp
  Result<> on_frame(const Frame& frame, LaneState& lane, TimePoint now);
  Result<> on_greeting(const Greeting& greeting, Role of, LaneState& lane);
  Result<> on(const PaddingFrame&, LaneState&, TimePoint) { return {}; }
  Result<> on(const HelloFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const WelcomeFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const TableFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const LaneDownFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const LaneAckFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const PingFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const PongFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const OpenFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const OpenedFrame& frame, LaneState&, TimePoint) { return streams_.on(frame); }
  Result<> on(const DataFrame& frame, LaneState&, TimePoint) { return streams_.on(frame); }
  Result<> on(const FinFrame& frame, LaneState&, TimePoint) { return streams_.on(frame); }
  Result<> on(const CreditFrame& frame, LaneState&, TimePoint now) { return streams_.on(frame, now); }
  Result<> on(const ResetFrame& frame, LaneState&, TimePoint) { return streams_.on(frame); }
  Result<> on(const DoneFrame& frame, LaneState&, TimePoint) { return streams_.on(frame); }
  Result<> on(const FlowOpenFrame& frame, LaneState& lane, TimePoint) {
    return flows_.on(frame, lane.options.number);
  }
  Result<> on(const DatagramFrame& frame, LaneState&, TimePoint) { return flows_.on(frame); }
  Result<> on(const FlowErrorFrame& frame, LaneState&, TimePoint) { return flows_.on(frame); }
  Result<> on(const FlowCloseFrame& frame, LaneState&, TimePoint) { return flows_.on(frame); }
  Result<> on(const GoawayFrame& frame, LaneState& lane, TimePoint now);
  Result<> on(const ListenFrame& frame, LaneState&, TimePoint) { return listeners_.on(frame); }
  Result<> on(const ListeningFrame& frame, LaneState&, TimePoint now);
  Result<> on(const UnlistenFrame& frame, LaneState&, TimePoint now);
  Result<> on(const ResolveFrame& frame, LaneState&, TimePoint) { return requests_.on(frame); }
  Result<> on(const ResolvedFrame& frame, LaneState&, TimePoint) { return requests_.on(frame); }
  Result<> on(const EchoFrame& frame, LaneState&, TimePoint) { return requests_.on(frame); }
  Result<> on(const EchoReplyFrame& frame, LaneState&, TimePoint) { return requests_.on(frame); }

  // session_resume.cpp
  void begin_exchange(LaneState& lane);
  void finish_exchange(LaneState& lane);
  void serve_waiting(LaneState& lane);

  // session_fill.cpp
  bool fill_hello(ByteWriter& out, LaneState& lane);
  void fill_urgent(ByteWriter& out, LaneState& lane, TimePoint now);
  std::size_t fill_turns(MutableBytes buffer, std::size_t written, LaneState& lane, TimePoint now);

  std::unique_ptr<SessionContext> context_;  // stays where it is when the session moves
  Requests requests_;
  Flows flows_;
  Listeners listeners_;
  Streams streams_;
  std::optional<GoawayFrame> goaway_;
  bool goaway_sent_ = false;
  InstanceId exit_instance_{};
};

}  // namespace zks::session
