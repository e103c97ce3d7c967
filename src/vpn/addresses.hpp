// SPDX-License-Identifier: MIT
//
// Between packets, sockets and the session: the same address in the terms of each.
#pragma once

#include <optional>

#include <boost/asio/ip/tcp.hpp>

#include "packet/build.hpp"
#include "session/destination.hpp"
#include "session/frames.hpp"

namespace zks::vpn {

session::Destination to_destination(const packet::Endpoint& endpoint);
// Null for a name.
std::optional<packet::Endpoint> to_endpoint(const session::Destination& destination);
packet::Endpoint to_endpoint(const boost::asio::ip::tcp::endpoint& endpoint);

struct HashEndpoint {
  std::size_t operator()(const packet::Endpoint& endpoint) const;
};

// What a router says when the exit said this, or a code that a newer one invented. Nothing where it was the
// destination that said it, and RST is the answer.
std::optional<packet::Unreachable> unreachable_for(session::ResetCode code);

// "Fragmentation needed" and "packet too big". They come without the MTU, and are about the exit's packets,
// which its kernel cuts from then on; this machine's would take a missing MTU for the least that there is,
// also for TCP to that address.
bool is_too_big(const IpAddress& from, session::IcmpError error);

// No protocol or port of that kind there: what the host at `about` says, and no router for it.
bool is_of_a_host(const IpAddress& about, session::IcmpError error);
// "Network unreachable", "host unreachable", "prohibited" and "time exceeded in transit": what routers say.
bool is_of_a_router(const IpAddress& about, session::IcmpError error);

// 224.0.0.0/4, ff00::/8 and 255.255.255.255: not for one host, so not for the tunnel.
bool is_multicast(const IpAddress& address);

}  // namespace zks::vpn
