// SPDX-License-Identifier: MIT
//
// What the exit has for one client's session. session_registry.hpp has all of them.
#pragma once

#include <memory>
#include <utility>

#include "exit/allowance.hpp"
#include "exit/listeners.hpp"
#include "exit/session_requests.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::exit {

struct ClientSession {
  tunnel::Claim claim;                   // authentic
  std::shared_ptr<Allowance> allowance;  // its invite's
  std::shared_ptr<tunnel::Tunnel> tunnel;
  std::shared_ptr<Listeners> listeners;
  std::shared_ptr<SessionRequests> requests;
  std::size_t connecting = 0;  // streams whose destination is being dialled: Connecting's
};
using ClientSessionPtr = std::shared_ptr<ClientSession>;

// Counts one stream among those that its session is connecting.
class Connecting {
 public:
  explicit Connecting(ClientSessionPtr session) : session_(std::move(session)) { ++session_->connecting; }
  ~Connecting() { over(); }
  Connecting(Connecting&& other) noexcept = default;
  Connecting& operator=(Connecting&&) = delete;

  void over() {
    if (session_) --std::exchange(session_, nullptr)->connecting;
  }

 private:
  ClientSessionPtr session_;
};

// Sessions belong to one device of one invite: nobody else's lane can take one over.
inline bool same_device(const tunnel::Claim& a, const tunnel::Claim& b) {
  return a.invite == b.invite && a.client_key == b.client_key;
}

}  // namespace zks::exit
