// SPDX-License-Identifier: MIT
//
// What a session tells its application (tunnel/tunnel.cpp): each part of the session appends to the one queue
// that Session::take_events() empties, in the order in which things happened.
#pragma once

#include <string>

#include "session/frames.hpp"

namespace zks::session {

struct Event {
  enum class Kind : std::uint8_t {
    kWelcome,     // client: the exit answered HELLO on `lane`, with `mode`; the session is up
    kOpen,        // exit: the client asks for `address`; client: somebody at `address` connected to
                  // `listener`; answer with accept() or reset()
    kOpened,      // client: connected; `address` is the exit's local one
    kReadable,    // bytes or the end can be read
    kRoom,        // bytes can be written again
    kReset,       // the stream is over, `code` says why
    kGoaway,      // the peer ends the session: `goaway`, `text`
    kFlowOpen,    // exit: the client has a new flow; close_flow() refuses it
    kDatagram,    // `bytes` of `flow`: exit: to `address`, client: from there
    kFlowError,   // client: `icmp` about datagrams of `flow` to `address`
    kFlowClosed,  // the peer, or the end of the session, closed `flow`
    kListen,      // exit: the client wants `listener` at `address`; answer with listening() or unlisten()
    kListening,   // client: `listener` is there; `address` is what it is bound to
    kUnlisten,    // exit: the client gave `listener` up; client: it is refused, or over, `code` says why
    kResolve,     // exit: the client's DNS query `bytes`; answer `request` with resolved()
    kResolved,    // client: the DNS answer to `request`
    kEcho,        // exit: the client pings `address` with `bytes`; answer `request` with echo_reply()
    kEchoReply,   // client: `address` said `icmp` about `request`
    kLaneDown,    // the peer gave `lane` up, and nothing of it is looked at any more: drop it
  };
  Kind kind{};
  StreamId stream = 0;
  FlowId flow = 0;
  RequestId request = 0;
  std::uint8_t hop_limit = 0;
  Destination address{};
  Bytes bytes{};
  IcmpError icmp{};
  ResetCode code{};
  GoawayCode goaway{};
  std::string text{};
  LaneNumber lane = 0;
  ListenerId listener = 0;
  ListenKind listen_kind{};
  HelloMode mode{};  // kWelcome: after kNew all streams that there were are reset
};

}  // namespace zks::session
