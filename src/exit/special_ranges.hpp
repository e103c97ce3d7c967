// SPDX-License-Identifier: MIT
//
// The ranges that are not the internet: what the exit's policy (policy.hpp) keeps closed unless its operator
// opens it.
#pragma once

#include "base/ip_address.hpp"

namespace zks::exit {

// What the address is for, with its range ("loopback, 127.0.0.0/8"), or null for one of the public internet.
// The address stands for itself here: mapped and NAT64 addresses are the caller's to unwrap.
const char* special_range(const IpAddress& address);

}  // namespace zks::exit
