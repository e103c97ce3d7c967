// SPDX-License-Identifier: MIT
#include "tunnel/flow.hpp"

#include "tunnel/tunnel.hpp"

namespace zks::tunnel {

SessionFlow::SessionFlow(std::shared_ptr<Tunnel> tunnel, session::FlowId id)
    : tunnel_(std::move(tunnel)), id_(id) {
  tunnel_->flows_[id_] = this;
}

SessionFlow::~SessionFlow() {
  handlers_ = nullptr;
  close();
}

bool SessionFlow::send(const session::Destination& address, ByteView bytes) {
  if (closed_ || !tunnel_->session().flows().send(id_, address, bytes, Tunnel::now())) return false;
  tunnel_->changed();
  return true;
}

void SessionFlow::send_error(const session::Destination& address, session::IcmpError error) {
  if (closed_) return;
  tunnel_->session().flows().send_error(id_, address, error, Tunnel::now());
  tunnel_->changed();
}

void SessionFlow::close() {
  if (closed_) return;
  const auto tunnel = tunnel_;  // on_closed may be the end of this object
  tunnel->session().flows().close(id_);
  note_closed();
  tunnel->changed();
}

// A handler may close the flow, or drop the last hold on it, while it runs.
void SessionFlow::on_datagram(const session::Destination& address, ByteView bytes) {
  const auto handlers = handlers_;
  if (handlers && handlers->on_datagram) handlers->on_datagram(address, bytes);
}

void SessionFlow::on_error(const session::Destination& address, session::IcmpError error) {
  const auto handlers = handlers_;
  if (handlers && handlers->on_error) handlers->on_error(address, error);
}

// The handlers may hold whoever owns this flow, so they go with it.
void SessionFlow::note_closed() {
  closed_ = true;
  const auto at = tunnel_->flows_.find(id_);  // of a listener there may be a newer one
  if (at != tunnel_->flows_.end() && at->second == this) tunnel_->flows_.erase(at);
  const auto handlers = std::exchange(handlers_, nullptr);
  if (handlers && handlers->on_closed) handlers->on_closed();
}

}  // namespace zks::tunnel
