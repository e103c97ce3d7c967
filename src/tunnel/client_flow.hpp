// SPDX-License-Identifier: MIT
//
// A flow as the client's front doors have it: it outlives sessions, and the exit's idle timeout. Whenever
// something is sent and there is no flow below it (flow.hpp) that is alive, one is opened in the session of
// that time.
//
// Executor: the client's. Lifetime: unique; `open` is called as long as it lives.
#pragma once

#include "tunnel/flow.hpp"

namespace zks::tunnel {

class ClientFlow final : public Flow {
 public:
  using Open = std::function<Result<SessionFlowPtr>()>;  // in the session that is up, if there is one

  ClientFlow(Open open, FlowHandlers handlers)
      : open_(std::move(open)), handlers_(std::make_shared<const FlowHandlers>(std::move(handlers))) {}

  // Opens it now, to learn whether the exit takes it. kClosed is no reason to give up.
  Result<> begin() {
    auto opened = open_();
    if (!opened) return opened.error();
    below_ = std::move(*opened);
    FlowHandlers handlers;
    handlers.on_datagram = [to = handlers_](const session::Destination& from, ByteView bytes) {
      if (to->on_datagram) to->on_datagram(from, bytes);
    };
    handlers.on_error = [to = handlers_](const session::Destination& about, session::IcmpError error) {
      if (to->on_error) to->on_error(about, error);
    };
    below_->handle(std::move(handlers));
    return {};
  }

  bool send(const session::Destination& to, ByteView bytes) override {
    const bool alive = below_ && !below_->closed();
    if (!alive && !begin()) return false;
    return below_->send(to, bytes);
  }

 private:
  Open open_;
  std::shared_ptr<const FlowHandlers> handlers_;
  SessionFlowPtr below_;
};

}  // namespace zks::tunnel
