// SPDX-License-Identifier: MIT
#include "session/listeners.hpp"

#include <algorithm>

#include "session/checks.hpp"

namespace zks::session {

std::uint64_t Listeners::max() const {
  if (!context_->client()) return context_->options.max_listeners;
  return context_->welcome ? context_->welcome->max_listeners : 0;
}

std::size_t Listeners::size() const {
  return static_cast<std::size_t>(std::count_if(listeners_.begin(), listeners_.end(),
                                                [](const auto& entry) { return !entry.second.over(); }));
}

Result<ListenerId> Listeners::listen(ListenKind kind, Destination bind) {
  if (context_->leaving || context_->lanes.empty()) {
    return make_error(ErrorKind::kClosed, "there is no session");
  }
  if (size() >= max()) return make_error(ErrorKind::kLimit, "the exit allows no more listeners");
  const ListenerId id = next_id_++;
  Listener& listener = listeners_[id];
  listener.kind = kind;
  listener.address = std::move(bind);
  owe(listener);
  return id;
}

void Listeners::listening(ListenerId id, Destination bound) {
  const auto at = listeners_.find(id);
  if (at == listeners_.end() || at->second.phase != Listener::Phase::kAsked) return;
  at->second.phase = Listener::Phase::kListening;
  at->second.address = std::move(bound);
  owe(at->second);
}

void Listeners::unlisten(ListenerId id, ResetCode code) {
  if (listeners_.contains(id)) end(id, code);
}

void Listeners::end(ListenerId id, ResetCode code) {
  Listener& listener = listeners_[id];
  listener.phase = Listener::Phase::kEnded;
  listener.code = code;
  owe(listener);
}

bool Listeners::is_there(ListenerId id, ListenKind kind) const {
  const auto at = listeners_.find(id);
  return at != listeners_.end() && at->second.phase == Listener::Phase::kListening && at->second.kind == kind;
}

Result<bool> Listeners::accepts(const OpenFrame& frame) const {
  if (!context_->client()) return true;
  if (frame.listener >= next_id_) return violation("OPEN for a listener that was never asked for");
  if (frame.destination.kind == Destination::Kind::kName) return violation("OPEN from a name");
  const auto at = listeners_.find(frame.listener);
  if (at == listeners_.end() || at->second.over()) return false;
  if (at->second.kind != ListenKind::kTcp) return violation("OPEN for a listener of datagrams");
  return true;
}

bool Listeners::awaits_answer() const {
  return context_->client() && std::any_of(listeners_.begin(), listeners_.end(), [](const auto& entry) {
           return entry.second.phase != Listener::Phase::kListening;
         });
}

void Listeners::repeat() {
  for (auto& [id, listener] : listeners_) {
    const bool said = context_->client() || listener.phase != Listener::Phase::kAsked;
    if (said) owe(listener);
  }
}

// An exit keeps those that are over, because its UNLISTEN may be lost with a lane that the client gave up
// before, and because a LISTEN may come after the UNLISTEN on another lane. The oldest are forgotten first.
bool Listeners::has_place() {
  if (listeners_.size() < context_->options.max_listeners + kMaxListenersEnding) return true;
  const auto oldest = std::find_if(listeners_.begin(), listeners_.end(), [](const auto& entry) {
    return entry.second.over() && !entry.second.owed;
  });
  if (oldest == listeners_.end()) return false;
  listeners_.erase(oldest);
  return true;
}

void Listeners::fill(ByteWriter& out) {
  if (!owed_) return;
  for (auto& [id, listener] : listeners_) {
    if (!listener.owed) continue;
    Frame frame = UnlistenFrame{id, listener.code};
    if (!listener.over() && context_->client()) frame = ListenFrame{id, listener.kind, listener.address};
    if (!listener.over() && !context_->client()) frame = ListeningFrame{id, listener.address};
    if (!encode_frame(out, frame)) return;
    listener.owed = false;
  }
  owed_ = false;
}

Result<> Listeners::on(const ListenFrame& frame) {
  if (context_->client()) return violation("LISTEN from an exit");
  if (max() == 0) return violation("LISTEN without max-listeners");
  if (frame.kind == ListenKind::kUdp && frame.listener > kMaxDatagramListener) {
    return violation("LISTEN for datagrams with an id that leaves none for its flow");
  }
  if (const auto at = listeners_.find(frame.listener); at != listeners_.end()) {
    if (at->second.phase != Listener::Phase::kAsked) owe(at->second);
    return {};
  }
  if (!has_place()) return violation("more listeners than can be answered");
  if (context_->leaving || size() >= max()) {
    end(frame.listener, context_->leaving ? ResetCode::kSessionLost : ResetCode::kLimit);
    return {};
  }
  Listener& listener = listeners_[frame.listener];
  listener.kind = frame.kind;
  listener.address = frame.bind;
  context_->push(ListenEvent{.listener = frame.listener, .kind = frame.kind, .address = frame.bind});
  return {};
}

Result<> Listeners::on(const ListeningFrame& frame) {
  if (!context_->client()) return violation("LISTENING from a client");
  if (frame.listener >= next_id_) return violation("LISTENING that was never asked for");
  const auto at = listeners_.find(frame.listener);
  if (at == listeners_.end() || at->second.over()) {
    end(frame.listener, ResetCode::kCancelled);  // it was given up, and the exit did not hear it
    return {};
  }
  const bool news = at->second.phase == Listener::Phase::kAsked || at->second.bound != frame.bound;
  at->second.phase = Listener::Phase::kListening;
  at->second.bound = frame.bound;
  if (news) {
    context_->push(ListeningEvent{.listener = frame.listener, .address = frame.bound});
  }
  return {};
}

Result<> Listeners::on(const UnlistenFrame& frame) {
  return context_->client() ? on_unlisten_of_exit(frame) : on_unlisten_of_client(frame);
}

Result<> Listeners::on_unlisten_of_exit(const UnlistenFrame& frame) {
  if (frame.listener >= next_id_) return violation("UNLISTEN for what was never asked for");
  const auto at = listeners_.find(frame.listener);
  if (at == listeners_.end()) return {};
  const bool news = !at->second.over();
  if (!news && at->second.owed) return {};  // what it answers may be older than a LISTENING that came since
  listeners_.erase(at);
  if (news) {
    context_->push(UnlistenEvent{.listener = frame.listener, .code = frame.code});
  }
  return {};
}

Result<> Listeners::on_unlisten_of_client(const UnlistenFrame& frame) {
  if (max() == 0) return violation("UNLISTEN without max-listeners");
  const auto at = listeners_.find(frame.listener);
  if (at == listeners_.end() && !has_place()) return violation("more listeners than can be answered");
  const bool known = at != listeners_.end() && !at->second.over();
  end(frame.listener, ResetCode::kCancelled);
  if (known) context_->push(UnlistenEvent{.listener = frame.listener});
  return {};
}

}  // namespace zks::session
