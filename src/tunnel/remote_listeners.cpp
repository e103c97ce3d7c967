// SPDX-License-Identifier: MIT
#include "tunnel/remote_listeners.hpp"

namespace zks::tunnel {

void RemoteListeners::add(std::shared_ptr<RemoteListener> listener) {
  wanted_.push_back({std::move(listener), std::nullopt});
  ask();
}

void RemoteListeners::clear() {
  ask_again_.cancel();
  for (const Wanted& wanted : std::exchange(wanted_, {})) {
    if (wanted.id && session_) session_->unlisten(*wanted.id, session::ResetCode::kCancelled);
  }
}

void RemoteListeners::session_up(std::shared_ptr<Tunnel> session) {
  session_ = std::move(session);
  ask();
}

void RemoteListeners::session_over() {
  ask_again_.cancel();
  session_.reset();
  for (Wanted& wanted : wanted_) wanted.id.reset();
}

// Without a lane the session takes no question. All are asked when it is up again.
void RemoteListeners::ask() {
  for (Wanted& wanted : wanted_) {
    if (wanted.id || !session_) continue;
    const auto asked = session_->listen(wanted.listener->kind(), wanted.listener->bind());
    if (asked) {
      wanted.id = *asked;
    } else if (asked.error().kind == ErrorKind::kLimit) {
      const bool none = session_->max_listeners() == 0;
      refused(*wanted.listener, none ? session::ResetCode::kNotAllowed : session::ResetCode::kLimit);
    }
  }
}

void RemoteListeners::refused(RemoteListener& listener, session::ResetCode code) {
  listener.on_refused(code);
  ask_again_.expires_after(kAskAgain);
  ask_again_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->ask();
  });
}

RemoteListeners::Wanted* RemoteListeners::find(session::ListenerId id) {
  for (Wanted& wanted : wanted_) {
    if (wanted.id == id) return &wanted;
  }
  return nullptr;
}

void RemoteListeners::on(const session::UnlistenEvent& event) {
  Wanted* wanted = find(event.listener);
  if (wanted == nullptr) return;
  const auto listener = wanted->listener;
  wanted->id.reset();
  refused(*listener, event.code);
}

void RemoteListeners::on(const session::ListeningEvent& event) {
  Wanted* wanted = find(event.listener);
  if (wanted == nullptr) return;
  const auto listener = wanted->listener;
  listener->on_listening(event.address);
  if (listener->kind() == session::ListenKind::kUdp) listener->on_flow(session_->flow_of(event.listener));
}

void RemoteListeners::on_connection(session::ListenerId id, StreamPtr stream, session::Destination from) {
  Wanted* wanted = find(id);
  if (wanted == nullptr) {
    stream->reset(session::ResetCode::kConnectionRefused);
  } else {
    wanted->listener->on_connection(std::move(stream), std::move(from));
  }
}

}  // namespace zks::tunnel
