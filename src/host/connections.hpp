// SPDX-License-Identifier: MIT
//
// The end of connections from the tunnel's addresses, when these go. They could only hang; and over IPv6 the
// kernel sends on from an address that is gone, by the uplink.
#pragma once

#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace zks::host {

// TCP and UDP sockets of this network namespace that are bound to one of `local`: their programs get
// ECONNABORTED. Does nothing where the kernel can't (INET_DIAG_DESTROY).
Result<> end_connections(const std::vector<IpAddress>& local);

}  // namespace zks::host
