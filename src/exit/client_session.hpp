// SPDX-License-Identifier: MIT
//
// What the exit has for one client's session. session_registry.hpp has all of them.
#pragma once

#include <memory>

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
  std::size_t connecting = 0;  // streams whose destination is being dialled: stream_server.hpp
};
using ClientSessionPtr = std::shared_ptr<ClientSession>;

// Sessions belong to one device of one invite: nobody else's lane can take one over.
inline bool same_device(const tunnel::Claim& a, const tunnel::Claim& b) {
  return a.invite == b.invite && a.client_key == b.client_key;
}

}  // namespace zks::exit
