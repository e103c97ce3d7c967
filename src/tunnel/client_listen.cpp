// SPDX-License-Identifier: MIT
//
// The client's reverse forwards: which listeners it wants, and asking the exit for them in every session.
#include "session/session.hpp"
#include "tunnel/client.hpp"

namespace zks::tunnel {
namespace {

// After a refusal: who had the address may have let go, or the operator changed the rules.
constexpr std::chrono::seconds kAskAgain{15};

}  // namespace

void Client::listen(std::shared_ptr<RemoteListener> listener) {
  remote_.push_back({std::move(listener), std::nullopt});
  if (up_) ask_for_listeners();
}

void Client::stop_listening() {
  ask_again_.cancel();
  for (const Remote& remote : std::exchange(remote_, {})) {
    if (remote.id && tunnel_) tunnel_->unlisten(*remote.id, session::ResetCode::kCancelled);
  }
}

void Client::forget_listeners() {
  for (Remote& remote : remote_) remote.id.reset();
}

void Client::ask_for_listeners() {
  for (Remote& remote : remote_) {
    if (remote.id || !tunnel_ || stopping_) continue;
    const auto asked = tunnel_->listen(remote.listener->kind(), remote.listener->bind());
    if (asked) {
      remote.id = *asked;
    } else if (asked.error().kind == ErrorKind::kLimit) {
      const bool none = tunnel_->max_listeners() == 0;
      refused(*remote.listener, none ? session::ResetCode::kNotAllowed : session::ResetCode::kLimit);
    }
  }
}

void Client::refused(RemoteListener& listener, session::ResetCode code) {
  listener.on_refused(code);
  ask_again_.expires_after(kAskAgain);
  ask_again_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && self->up_) self->ask_for_listeners();
  });
}

Client::Remote* Client::find_remote(session::ListenerId id) {
  for (Remote& remote : remote_) {
    if (remote.id == id) return &remote;
  }
  return nullptr;
}

void Client::on(const session::UnlistenEvent& event) {
  Remote* remote = find_remote(event.listener);
  if (remote == nullptr) return;
  const auto listener = remote->listener;
  remote->id.reset();
  refused(*listener, event.code);
}

void Client::on(const session::ListeningEvent& event) {
  Remote* remote = find_remote(event.listener);
  if (remote == nullptr) return;
  const auto listener = remote->listener;
  listener->on_listening(event.address);
  if (listener->kind() == session::ListenKind::kUdp) listener->on_flow(tunnel_->flow_of(event.listener));
}

void Client::on_connection(session::ListenerId id, StreamPtr stream, session::Destination from) {
  Remote* remote = find_remote(id);
  if (remote == nullptr) {
    stream->reset(session::ResetCode::kConnectionRefused);
  } else {
    remote->listener->on_connection(std::move(stream), std::move(from));
  }
}

}  // namespace zks::tunnel
