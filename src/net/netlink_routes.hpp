// SPDX-License-Identifier: MIT
//
// What interfaces.cpp asks rtnetlink (base/netlink.hpp) for: the on-link routes.
#pragma once

#include <optional>
#include <vector>

#include <linux/netlink.h>

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

// One message of a route dump. Nothing for another message, and for a route that is not on-link.
std::optional<OnLinkRoute> read_on_link_route(const nlmsghdr& message);

}  // namespace zks::net
