// SPDX-License-Identifier: MIT
//
// What the session says (session/event.hpp), to whom it concerns: a stream, a flow, a request that waits, or
// the handlers.
#include "base/raised.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::tunnel {

// Handlers may call back into the session, which makes new events: they wait for their turn in the outer
// loop.
void Tunnel::deliver_events() {
  if (delivering_) return;
  const Raised delivering(delivering_);
  for (auto events = session_.take_events(); !events.empty(); events = session_.take_events()) {
    for (session::Event& event : events) std::visit([this](auto& e) { on(e); }, event);
  }
}

void Tunnel::on(const session::WelcomeEvent& event) {
  up_ = true;
  if (handlers_.on_up) handlers_.on_up(event.lane, event.mode);
}

void Tunnel::on(const session::LaneDownEvent& event) {
  drop_lane(event.lane);
  if (handlers_.on_lane_lost) {
    handlers_.on_lane_lost(event.lane, make_error(ErrorKind::kClosed, "the other end gave it up"));
  }
}

void Tunnel::on(const session::GoawayEvent& event) {
  if (handlers_.on_goaway) handlers_.on_goaway(event.code, event.text);
}

void Tunnel::on(session::OpenEvent& event) {
  auto stream = [&] { return std::make_shared<Stream>(shared_from_this(), event.stream); };
  if (client_ && handlers_.on_connection) {
    handlers_.on_connection(event.listener, stream(), std::move(event.address));
  } else if (handlers_.on_open) {
    handlers_.on_open(stream(), std::move(event.address));
  } else {
    session_.streams().reset(event.stream, session::ResetCode::kNotAllowed);
  }
}

Stream* Tunnel::find_stream(session::StreamId id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second;
}

void Tunnel::on(session::OpenedEvent& event) {
  Stream* stream = find_stream(event.stream);
  if (stream == nullptr) return;
  stream->bound_ = std::move(event.address);
  stream->readable_.notify();
}

void Tunnel::on(const session::ReadableEvent& event) {
  if (Stream* stream = find_stream(event.stream)) stream->readable_.notify();
}

void Tunnel::on(const session::RoomEvent& event) {
  if (Stream* stream = find_stream(event.stream)) stream->room_.notify();
}

void Tunnel::on(const session::ResetEvent& event) {
  if (Stream* stream = find_stream(event.stream)) stream->note_reset(event.code);
}

void Tunnel::on(const session::FlowOpenEvent& event) {
  auto flow = std::make_shared<SessionFlow>(shared_from_this(), event.flow);
  if (handlers_.on_flow) handlers_.on_flow(std::move(flow));
}

SessionFlow* Tunnel::find_flow(session::FlowId id) {
  const auto at = flows_.find(id);
  return at == flows_.end() ? nullptr : at->second;
}

void Tunnel::on(const session::DatagramEvent& event) {
  if (SessionFlow* flow = find_flow(event.flow)) flow->on_datagram(event.address, event.bytes);
}

void Tunnel::on(const session::FlowErrorEvent& event) {
  if (SessionFlow* flow = find_flow(event.flow)) flow->on_error(event.address, event.error);
}

void Tunnel::on(const session::FlowClosedEvent& event) {
  if (SessionFlow* flow = find_flow(event.flow)) flow->note_closed();
}

void Tunnel::on(const session::ListenEvent& event) {
  if (handlers_.on_listen) handlers_.on_listen(event);
}

void Tunnel::on(const session::ListeningEvent& event) {
  if (handlers_.on_listening) handlers_.on_listening(event);
}

void Tunnel::on(const session::UnlistenEvent& event) {
  if (handlers_.on_unlisten) handlers_.on_unlisten(event);
}

void Tunnel::on(session::ResolveEvent& event) {
  if (handlers_.on_resolve) handlers_.on_resolve(event);
}

void Tunnel::on(session::ResolvedEvent& event) {
  requests_.on(event);
}

void Tunnel::on(const session::EchoEvent& event) {
  if (handlers_.on_echo) handlers_.on_echo(event);
}

void Tunnel::on(const session::EchoReplyEvent& event) {
  requests_.on(event);
}

}  // namespace zks::tunnel
