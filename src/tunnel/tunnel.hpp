// SPDX-License-Identifier: MIT
//
// A tunnel drives one session: it feeds records from its lanes in, composes records for them, turns the
// session's events into wake-ups of streams, and keeps the session's timers. When the last lane dies the
// session is an orphan: its streams wait for another lane, for as long as the exit said. The client and the
// exit peer each own tunnels.
//
// Executor: one, given at construction. Lifetime: shared; streams hold it, so it outlives them.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <unordered_map>

#include <boost/asio/steady_timer.hpp>

#include "base/limit_notice.hpp"
#include "tunnel/lane.hpp"
#include "tunnel/stream.hpp"
#include "tunnel/wait_list.hpp"

namespace zks::tunnel {

class Tunnel final : public LaneOwner, public std::enable_shared_from_this<Tunnel> {
 public:
  struct Handlers {
    std::function<void(StreamPtr, session::Destination)> on_open;  // exit: the client asks for a destination
    std::function<void(SessionFlowPtr)> on_flow;  // exit: the client has a new flow; dropped, it is refused
    // Client: somebody at that address connected to a listener of this client's.
    std::function<void(session::ListenerId, StreamPtr, session::Destination)> on_connection;
    std::function<void(const session::ListenEvent&)> on_listen;        // exit
    std::function<void(const session::ListeningEvent&)> on_listening;  // client
    std::function<void(const session::UnlistenEvent&)> on_unlisten;
    std::function<void(session::ResolveEvent&)> on_resolve;              // exit
    std::function<void(const session::EchoEvent&)> on_echo;              // exit
    std::function<void(session::LaneNumber, session::HelloMode)> on_up;  // client: the exit welcomed the lane
    std::function<void(session::LaneNumber, const Error&)> on_lane_lost;  // if orphaned(): streams wait
    std::function<void()> on_silence;  // some lane is_silent(), told again each second
    std::function<void(session::GoawayCode, const std::string&)> on_goaway;
    std::function<void()> on_freed;            // a stream is over, and its memory soon free
    std::function<void(const Error&)> on_end;  // once; the tunnel is dead
  };

  Tunnel(asio::any_io_executor executor, session::Options options, Handlers handlers);
  ~Tunnel() override;

  asio::any_io_executor executor() const { return executor_; }

  // Starts the session on a lane, or resumes it there, and lanes that it still had are dropped; or lets the
  // lane join them. `number` is higher than newest_lane(). Exit: `first_frames` are those of the record that
  // began with HELLO.
  void attach(carrier::CarrierPtr carrier, LaneKeys keys, session::LaneNumber number,
              session::HelloMode mode);
  void attach(carrier::CarrierPtr carrier, LaneKeys keys, session::LaneNumber number, session::HelloMode mode,
              ByteView first_frames, std::size_t record_bytes);
  session::LaneNumber newest_lane() const { return session_.newest_lane(); }
  bool has_lane(session::LaneNumber number) const { return lanes_.contains(number); }
  // Nothing comes on it, though something should; it may wake up yet.
  bool is_silent(session::LaneNumber number) const { return session_.silent(number, now()); }
  // The lane's streams move to another one, of which there must be one.
  void retire(session::LaneNumber number);
  std::size_t lanes() const { return session_.lanes(); }
  std::uint64_t max_lanes() const { return session_.max_lanes(); }
  bool orphaned() const { return lanes_.empty() && !ended_; }
  const SessionId& id() const { return session_.id(); }
  const InstanceId& exit_instance() const { return session_.exit_instance(); }
  std::size_t memory_bytes() const { return session_.streams().memory_bytes(); }

  // Opens a stream and waits for the exit's answer, at most 30 s. Where all slots are taken, the stream that
  // is half-closed and silent longest is reset for it, and its end is waited for at most 5 s; kLimit when
  // there is none such.
  asio::awaitable<OpenOutcome> open(session::Destination destination);
  // Exit: the same for a connection that came to a listener, from `from`.
  asio::awaitable<OpenOutcome> open(session::ListenerId listener, session::Destination from);

  // Listeners at the exit (session/session.hpp).
  Result<session::ListenerId> listen(session::ListenKind kind, session::Destination bind);
  void listening(session::ListenerId id, session::Destination bound);
  void unlisten(session::ListenerId id, session::ResetCode code);
  std::uint64_t max_listeners() const { return session_.listeners().max(); }

  // Client: kClosed while there is no session; else as session::Flows::open().
  Result<SessionFlowPtr> open_flow();
  // That of a listener of datagrams, once it is there; it is over when the listener is.
  SessionFlowPtr flow_of(session::ListenerId id);

  // Client: requests (requests.hpp); the errors are session::Requests::resolve()'s and echo()'s, and
  // kTimeout.
  asio::awaitable<Result<Bytes>> resolve(Bytes query);
  Result<> echo(const EchoRequest& request, EchoHandler handler);
  std::optional<session::ExitCapabilities> exit_capabilities() const { return session_.exit_capabilities(); }
  // Exit: the answers to on_request.
  void resolved(session::RequestId request, ByteView answer);
  void echo_reply(const session::EchoReplyFrame& reply);

  // Every stream that there is now.
  void reset_streams(session::ResetCode code);
  // Those that hold most, until half of what all hold is free; how many that were.
  std::size_t reset_heaviest_streams(session::ResetCode code);

  // GOAWAY: no new streams. The lane is closed when the last stream is over, or by end().
  void leave(session::GoawayCode code, const std::string& text);
  // GOAWAY, then the lane is closed, whatever streams there are.
  void dismiss(session::GoawayCode code, const std::string& text);
  // Ends at once: streams are reset, the lane is dropped. `on_end` is called.
  void end(const Error& why);
  bool ended() const { return ended_; }
  // A lane over a path that is gone is noticed within the deadline of a PING, not after a silence.
  void network_changed();
  // Calls `used_up` once for each lane that has carried `bytes`, both ways together.
  void watch_lanes(std::uint64_t bytes, std::function<void(session::LaneNumber)> used_up);
  std::size_t open_streams() const { return session_.streams().open_count(); }
  TunnelStatus status() const;
  Traffic traffic() const;

  // --- LaneOwner
  void on_record(session::LaneNumber lane, ByteView frames, std::size_t record_bytes) override;
  std::size_t compose(session::LaneNumber lane, MutableBytes out) override;
  void on_lane_end(session::LaneNumber lane, const Error& why) override;

 private:
  friend class Stream;
  friend class SessionFlow;

  session::Session& session() { return session_; }
  static session::TimePoint now() { return std::chrono::steady_clock::now(); }
  void forget(session::StreamId id) {
    streams_.erase(id);
    if (handlers_.on_freed) handlers_.on_freed();
  }
  asio::awaitable<OpenOutcome> await_answer(Result<session::StreamId> id);
  // A stream's slot: how a session is asked for one, and where its answer waits.
  using AskForSlot = std::function<Result<session::StreamId>()>;
  asio::awaitable<Result<session::StreamId>> take_slot(AskForSlot ask);
  bool make_slot();
  void tell_of_limit();
  void changed();    // after anything that may have made events or frames
  void committed();  // after bytes of a stream, which make neither events nor other frames

  // tunnel_events.cpp
  void deliver_events();
  void on(const session::WelcomeEvent& event);
  void on(const session::LaneDownEvent& event);
  void on(const session::GoawayEvent& event);
  void on(session::OpenEvent& event);
  void on(session::OpenedEvent& event);
  void on(const session::ReadableEvent& event);
  void on(const session::RoomEvent& event);
  void on(const session::ResetEvent& event);
  void on(const session::FlowOpenEvent& event);
  void on(const session::DatagramEvent& event);
  void on(const session::FlowErrorEvent& event);
  void on(const session::FlowClosedEvent& event);
  void on(const session::ListenEvent& event);
  void on(const session::ListeningEvent& event);
  void on(const session::UnlistenEvent& event);
  void on(session::ResolveEvent& event);
  void on(session::ResolvedEvent& event);
  void on(const session::EchoEvent& event);
  void on(const session::EchoReplyEvent& event);
  Stream* find_stream(session::StreamId id);
  SessionFlow* find_flow(session::FlowId id);

  void arm_timer();
  void on_timer();
  void drop_lane(session::LaneNumber number);
  void drop_lanes();
  void lose_lane(session::LaneNumber number, const Error& why);
  bool may_resume() const;
  void break_off() noexcept;
  Result<> receive(session::LaneNumber lane, ByteView frames, std::size_t record_bytes);
  std::size_t fill(session::LaneNumber lane, MutableBytes out);
  void await_orphan_timeout();
  void count_bytes(session::LaneNumber number);
  static void count_record(std::uint64_t& records, std::uint64_t& bytes, std::size_t record_bytes);

  asio::any_io_executor executor_;
  Handlers handlers_;
  session::Session session_;
  struct Held {
    std::shared_ptr<Lane> lane;
    bool used_up = false;  // and that was told
  };
  std::map<session::LaneNumber, Held> lanes_;  // alive; at most session::kMaxLanes
  bool client_;
  std::uint64_t lane_limit_bytes_ = std::numeric_limits<std::uint64_t>::max();
  std::function<void(session::LaneNumber)> lane_used_up_;
  bool up_ = false;  // HELLO was answered once
  std::unordered_map<session::StreamId, Stream*> streams_;
  std::unordered_map<session::FlowId, SessionFlow*> flows_;
  Requests requests_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer orphan_timer_;
  session::TimePoint timer_at_ = session::TimePoint::max();
  WaitList slot_waiters_;
  LimitNotice limit_notice_;
  bool delivering_ = false;
  bool leaving_ = false;
  bool broken_ = false;  // dismissed, or broken off: nothing more of the peer is looked at
  bool failed_ = false;  // broken off: nothing more is said, either
  bool ended_ = false;
  Traffic lane_traffic_;  // the lanes' part of it, dead ones included
  const session::TimePoint began_ = now();
};

}  // namespace zks::tunnel
