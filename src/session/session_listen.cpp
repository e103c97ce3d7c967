// SPDX-License-Identifier: MIT
//
// Reverse forwards (PROTOCOL.md): the client asks the exit to listen, and the exit opens a stream for each
// connection that came; one of datagrams has a flow of its own. Listeners belong to the session and to no
// lane: whatever the client said on a lane that died it says again on the next one, and so does the exit.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {

std::uint64_t Session::max_listeners() const {
  return options().role == Role::kClient ? peer_max_listeners_ : options().max_listeners;
}

// Each end opens streams while its table has fewer than max-streams. Where only one of them does, what the
// other one has more than that are tombstones whose DONE is on its way on another lane; where both do, each
// may open as many before it hears of the other's.
std::uint64_t Session::most_streams() const {
  return (max_listeners() > 0 ? 3 : 2) * options().max_streams;
}

std::size_t Session::listeners() const {
  return static_cast<std::size_t>(std::count_if(listeners_.begin(), listeners_.end(), [](const auto& entry) {
    return entry.second.phase != ListenerState::Phase::kEnded;
  }));
}

Result<ListenerId> Session::listen(ListenKind kind, Destination bind) {
  if (context_->leaving || context_->lanes.empty())
    return make_error(ErrorKind::kClosed, "there is no session");
  if (listeners() >= max_listeners()) {
    return make_error(ErrorKind::kLimit, "the exit allows no more listeners");
  }
  const ListenerId id = next_listener_++;
  ListenerState listener;
  listener.kind = kind;
  listener.address = std::move(bind);
  listener.owed = listeners_owed_ = true;
  listeners_.emplace(id, std::move(listener));
  return id;
}

void Session::listening(ListenerId id, Destination bound) {
  const auto at = listeners_.find(id);
  if (at == listeners_.end() || at->second.phase != ListenerState::Phase::kAsked) return;
  at->second.phase = ListenerState::Phase::kListening;
  at->second.address = std::move(bound);
  at->second.owed = listeners_owed_ = true;
  if (at->second.kind == ListenKind::kUdp) flows_.begin_of(id);
}

void Session::unlisten(ListenerId id, ResetCode code) {
  if (listeners_.contains(id)) end_listener(id, code);
}

void Session::end_listener(ListenerId id, ResetCode code) {
  ListenerState& listener = listeners_[id];
  listener.phase = ListenerState::Phase::kEnded;
  listener.code = code;
  listener.owed = listeners_owed_ = true;
  flows_.end_of(id);
}

Result<StreamId> Session::open(ListenerId listener, Destination from, TimePoint now) {
  const auto at = listeners_.find(listener);
  if (at == listeners_.end() || at->second.phase != ListenerState::Phase::kListening ||
      at->second.kind != ListenKind::kTcp) {
    return make_error(ErrorKind::kClosed, "the client gave the listener up");
  }
  return open_stream(std::move(from), listener, now);
}

// Whether the application is to hear of an OPEN. An exit's has to name a listener that this client asked for;
// what the client does for it, it knows by itself.
Result<bool> Session::accepts_from(const OpenFrame& frame) const {
  if (options().role == Role::kExit) return true;
  if (frame.listener >= next_listener_) return violation("OPEN for a listener that was never asked for");
  if (frame.destination.kind == Destination::Kind::kName) return violation("OPEN from a name");
  const auto at = listeners_.find(frame.listener);
  if (at == listeners_.end() || at->second.phase == ListenerState::Phase::kEnded) return false;
  if (at->second.kind != ListenKind::kTcp) return violation("OPEN for a listener of datagrams");
  return true;
}

// The peer may have heard of them, or not. What an exit says of a listener that the client has given up makes
// the client say that again.
void Session::repeat_listeners() {
  for (auto& [id, listener] : listeners_) {
    const bool said = options().role == Role::kClient || listener.phase != ListenerState::Phase::kAsked;
    if (said) listener.owed = listeners_owed_ = true;
  }
}

// An exit keeps those that are over, because its UNLISTEN may be lost with a lane that the client gave up
// before, and because a LISTEN may come after the UNLISTEN on another lane. The oldest are forgotten first.
bool Session::has_place_for_listener() {
  if (listeners_.size() < options().max_listeners + kMaxListenersEnding) return true;
  const auto oldest = std::find_if(listeners_.begin(), listeners_.end(), [](const auto& entry) {
    return entry.second.phase == ListenerState::Phase::kEnded && !entry.second.owed;
  });
  if (oldest == listeners_.end()) return false;
  listeners_.erase(oldest);
  return true;
}

void Session::fill_listeners(ByteWriter& out, const LaneState& lane) {
  if (!listeners_owed_ || !lane.hello_received) return;
  const bool client = options().role == Role::kClient;
  for (auto& [id, listener] : listeners_) {
    if (!listener.owed) continue;
    const bool ended = listener.phase == ListenerState::Phase::kEnded;
    Frame frame = UnlistenFrame{id, listener.code};
    if (!ended && client) frame = ListenFrame{id, listener.kind, listener.address};
    if (!ended && !client) frame = ListeningFrame{id, listener.address};
    if (!encode_frame(out, frame)) return;
    listener.owed = false;
  }
  listeners_owed_ = false;
}

Result<> Session::on(const ListenFrame& frame, LaneState&, TimePoint) {
  if (options().role == Role::kClient) return violation("LISTEN from an exit");
  if (options().max_listeners == 0) return violation("LISTEN without max-listeners");
  if (frame.kind == ListenKind::kUdp && frame.listener > kMaxDatagramListener) {
    return violation("LISTEN for datagrams with an id that leaves none for its flow");
  }
  if (const auto at = listeners_.find(frame.listener); at != listeners_.end()) {
    if (at->second.phase != ListenerState::Phase::kAsked) at->second.owed = listeners_owed_ = true;
    return {};
  }
  if (!has_place_for_listener()) return violation("more listeners than can be answered");
  if (context_->leaving || listeners() >= options().max_listeners) {
    end_listener(frame.listener, context_->leaving ? ResetCode::kSessionLost : ResetCode::kLimit);
    return {};
  }
  ListenerState& listener = listeners_[frame.listener];
  listener.kind = frame.kind;
  listener.address = frame.bind;
  push({.kind = Event::Kind::kListen,
        .address = frame.bind,
        .listener = frame.listener,
        .listen_kind = frame.kind});
  return {};
}

Result<> Session::on(const ListeningFrame& frame, LaneState&, TimePoint) {
  if (options().role == Role::kExit) return violation("LISTENING from a client");
  if (frame.listener >= next_listener_) return violation("LISTENING that was never asked for");
  const auto at = listeners_.find(frame.listener);
  if (at == listeners_.end() || at->second.phase == ListenerState::Phase::kEnded) {
    end_listener(frame.listener, ResetCode::kCancelled);  // it was given up, and the exit did not hear it
    return {};
  }
  const bool news = at->second.phase == ListenerState::Phase::kAsked || at->second.bound != frame.bound;
  at->second.phase = ListenerState::Phase::kListening;
  at->second.bound = frame.bound;
  if (!news) return {};
  if (at->second.kind == ListenKind::kUdp) flows_.begin_of(frame.listener);
  push({.kind = Event::Kind::kListening, .address = frame.bound, .listener = frame.listener});
  return {};
}

Result<> Session::on(const UnlistenFrame& frame, LaneState&, TimePoint) {
  const auto at = listeners_.find(frame.listener);
  if (options().role == Role::kClient) {
    if (frame.listener >= next_listener_) return violation("UNLISTEN for what was never asked for");
    if (at == listeners_.end()) return {};
    const bool news = at->second.phase != ListenerState::Phase::kEnded;
    if (!news && at->second.owed) return {};  // what it answers may be older than a LISTENING that came since
    listeners_.erase(at);
    flows_.end_of(frame.listener);
    if (news) push({.kind = Event::Kind::kUnlisten, .code = frame.code, .listener = frame.listener});
    return {};
  }
  if (options().max_listeners == 0) return violation("UNLISTEN without max-listeners");
  if (at == listeners_.end() && !has_place_for_listener()) {
    return violation("more listeners than can be answered");
  }
  const auto now_at = listeners_.find(frame.listener);
  const bool known = now_at != listeners_.end() && now_at->second.phase != ListenerState::Phase::kEnded;
  end_listener(frame.listener, ResetCode::kCancelled);
  if (known) push({.kind = Event::Kind::kUnlisten, .listener = frame.listener});
  return {};
}

}  // namespace zks::session
