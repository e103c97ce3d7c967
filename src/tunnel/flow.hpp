// SPDX-License-Identifier: MIT
//
// What front doors, forwards and the exit see of UDP: a flow, beside stream.hpp. Below is
// session/flows.hpp, which drops datagrams rather than to queue them for long.
//
// SessionFlow is a flow of one session, at either end; it is over when its session or the peer ends it, or
// its listener, if it is that of one.
// Whoever opens flows at the client gets one that heals itself instead (client_flow.hpp).
//
// Executor: the session's. Handlers are called on it and may destroy the flow.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/result.hpp"
#include "session/frames.hpp"

namespace zks::tunnel {

class Tunnel;

struct FlowHandlers {
  // A datagram: at the client with where it came from, at the exit with where it shall go. The bytes are
  // valid during the call.
  std::function<void(const session::Destination&, ByteView)> on_datagram;
  // Client: what ICMP, or the exit, says about datagrams to that address; optional.
  std::function<void(const session::Destination&, session::IcmpError)> on_error;
  // SessionFlow: it is over, once; optional.
  std::function<void()> on_closed;
};

// At the client. Closed by its destruction.
class Flow {
 public:
  virtual ~Flow() = default;
  // False when it is lost already: no session is up, or too much is waiting. True promises nothing.
  virtual bool send(const session::Destination& to, ByteView bytes) = 0;
};

class SessionFlow final : public Flow, public std::enable_shared_from_this<SessionFlow> {
 public:
  SessionFlow(std::shared_ptr<Tunnel> tunnel, session::FlowId id);
  ~SessionFlow() override;  // FLOW_CLOSE unless it is over
  SessionFlow(const SessionFlow&) = delete;
  SessionFlow& operator=(const SessionFlow&) = delete;

  void handle(FlowHandlers handlers) {
    handlers_ = std::make_shared<const FlowHandlers>(std::move(handlers));
  }
  bool send(const session::Destination& address, ByteView bytes) override;
  void send_error(const session::Destination& address, session::IcmpError error);  // exit
  void close();
  bool closed() const { return closed_; }

 private:
  friend class Tunnel;
  void on_datagram(const session::Destination& address, ByteView bytes);
  void on_error(const session::Destination& address, session::IcmpError error);
  void note_closed();

  std::shared_ptr<Tunnel> tunnel_;
  session::FlowId id_;
  std::shared_ptr<const FlowHandlers> handlers_ = std::make_shared<const FlowHandlers>();
  bool closed_ = false;
};

using FlowPtr = std::unique_ptr<Flow>;
using SessionFlowPtr = std::shared_ptr<SessionFlow>;

}  // namespace zks::tunnel
