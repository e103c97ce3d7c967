// SPDX-License-Identifier: MIT
//
// rtnetlink, as far as interfaces.cpp needs it: the on-link routes, and the news that something changed.
#pragma once

#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace zks::net {

struct OnLinkRoute {
  Prefix prefix;
  unsigned interface = 0;  // index; 0 for none
};

// Routes of every table that deliver to this machine or, put there by the kernel or a router advertisement,
// straight to a link. Routes that an administrator set are not among them: sending half of the internet into
// a point-to-point device is common, and does not make it a local network. kIo when the kernel does not
// answer.
Result<std::vector<OnLinkRoute>> read_on_link_routes();

// One datagram of a route dump, as the kernel lays it out. True when it was the last one.
Result<bool> parse_route_dump(const std::uint8_t* data, std::size_t size, std::vector<OnLinkRoute>& out);

// A non-blocking socket that becomes readable when an address, a route or a link changes. The caller closes
// it.
Result<int> subscribe_to_changes();
void drain_changes(int netlink);

}  // namespace zks::net
