// SPDX-License-Identifier: MIT
//
// Where a -L listens, as Asio has it: between forward_spec.hpp, which knows no socket, and those that open
// them.
#pragma once

#include <vector>

#include "frontdoor/forward_spec.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::frontdoor {

// Of a place that is no unix socket.
template <class Protocol>
std::vector<typename Protocol::endpoint> listen_endpoints(const ForwardPlace& place) {
  std::vector<typename Protocol::endpoint> out{tunnel::make_endpoint<Protocol>(place.address)};
  if (place.also) out.push_back(tunnel::make_endpoint<Protocol>(*place.also));
  return out;
}

}  // namespace zks::frontdoor
