// SPDX-License-Identifier: MIT
//
// In which order to try the addresses of a name: between the resolver (resolver.hpp) and happy eyeballs
// (connect.hpp).
#pragma once

#include <algorithm>
#include <vector>

#include "base/ip_address.hpp"

namespace zks::net {

// The two in turn (RFC 8305, section 4), beginning with `first`.
template <class Address>
std::vector<Address> alternate(const std::vector<Address>& first, const std::vector<Address>& second) {
  std::vector<Address> out;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) out.push_back(first[i]);
    if (i < second.size()) out.push_back(second[i]);
  }
  return out;
}

// IPv6 and IPv4 in turn (RFC 8305, section 4), beginning with IPv6. Addresses that this machine has no route
// to come after those of their family that it has one to (RFC 6724, rule 1), and IPv4 begins where no IPv6
// address has a route, or where this machine has only a unique local source for a global one (rule 5).
std::vector<IpAddress> order_addresses(std::vector<IpAddress> ipv6, std::vector<IpAddress> ipv4);

}  // namespace zks::net
