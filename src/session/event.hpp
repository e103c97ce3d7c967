// SPDX-License-Identifier: MIT
//
// What a session tells its application (tunnel/tunnel.cpp): each part of the session appends to the one queue
// that Session::take_events() empties, in the order in which things happened.
#pragma once

#include <string>
#include <variant>

#include "session/frames.hpp"

namespace zks::session {

// --- the session and its lanes

// Client: the exit answered HELLO on this lane; the session is up. After kNew all streams that there were are
// reset.
struct WelcomeEvent {
  LaneNumber lane = 0;
  HelloMode mode = HelloMode::kNew;
};
// The peer gave the lane up, and nothing of it is looked at any more: drop it.
struct LaneDownEvent {
  LaneNumber lane = 0;
};
// The peer ends the session.
struct GoawayEvent {
  GoawayCode code{};
  std::string text;
};

// --- streams

// Exit: the client asks for `address`; client: somebody at `address` connected to `listener`. Answer with
// accept() or reset().
struct OpenEvent {
  StreamId stream = 0;
  Destination address;
  ListenerId listener = 0;
};
// It is connected; `address` is the exit's local one.
struct OpenedEvent {
  StreamId stream = 0;
  Destination address;
};
// Bytes or the end can be read.
struct ReadableEvent {
  StreamId stream = 0;
};
// Bytes can be written again.
struct RoomEvent {
  StreamId stream = 0;
};
// The stream is over.
struct ResetEvent {
  StreamId stream = 0;
  ResetCode code{};
};

// --- flows

// Exit: the client has a new flow; close_flow() refuses it.
struct FlowOpenEvent {
  FlowId flow = 0;
};
// Exit: to `address`; client: from there.
struct DatagramEvent {
  FlowId flow = 0;
  Destination address;
  Bytes bytes;
};
// Client: about datagrams to `address`.
struct FlowErrorEvent {
  FlowId flow = 0;
  Destination address;
  IcmpError error;
};
// The peer, or the end of the session, closed it.
struct FlowClosedEvent {
  FlowId flow = 0;
};

// --- listeners

// Exit: the client wants one at `address`; answer with listening() or unlisten().
struct ListenEvent {
  ListenerId listener = 0;
  ListenKind kind{};
  Destination address;
};
// Client: it is there, bound to `address`.
struct ListeningEvent {
  ListenerId listener = 0;
  Destination address;
};
// Exit: the client gave it up; client: it is refused, or over.
struct UnlistenEvent {
  ListenerId listener = 0;
  ResetCode code{};
};

// --- requests

// Exit: the client's DNS query; answer with resolved().
struct ResolveEvent {
  RequestId request = 0;
  Bytes bytes;
};
// Client: the DNS answer.
struct ResolvedEvent {
  RequestId request = 0;
  Bytes bytes;
};
// Exit: the client pings `address`; answer with echo_reply().
struct EchoEvent {
  RequestId request = 0;
  Destination address;
  std::uint8_t hop_limit = 0;
  Bytes bytes;
};
// Client: what `address` said.
struct EchoReplyEvent {
  RequestId request = 0;
  Destination address;
  IcmpError said;
  std::uint8_t hop_limit = 0;
  Bytes bytes;
};

using Event =
    std::variant<WelcomeEvent, LaneDownEvent, GoawayEvent, OpenEvent, OpenedEvent, ReadableEvent, RoomEvent,
                 ResetEvent, FlowOpenEvent, DatagramEvent, FlowErrorEvent, FlowClosedEvent, ListenEvent,
                 ListeningEvent, UnlistenEvent, ResolveEvent, ResolvedEvent, EchoEvent, EchoReplyEvent>;

}  // namespace zks::session
