// SPDX-License-Identifier: MIT
//
// Hears from the kernel that somebody changed interfaces, addresses, routes, rules or nftables. What changed
// does not matter: Host::restore() looks.
#pragma once

#include <array>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace zks::host {

// Two netlink sockets of this thread's network namespace that do not block. One is readable when something
// changed; drain_netlink() takes that off.
Result<std::array<Fd, 2>> watch_changes();

}  // namespace zks::host
