// SPDX-License-Identifier: MIT
//
// The DNS servers that this machine used before the tunnel: the relay's name is asked of them, outside of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.hpp"

namespace zks::host {

inline constexpr std::size_t kMaxNameservers = 3;  // as many as glibc reads (resolv.conf(5), MAXNS)
inline constexpr char kResolvedUplinks[] = "/run/systemd/resolve/resolv.conf";

// The `nameserver` lines of a resolv.conf, at most kMaxNameservers. Addresses with a zone are left out.
std::vector<IpAddress> parse_nameservers(std::string_view text);
// True for 127.0.0.53 and 127.0.0.54, where systemd-resolved answers.
bool is_resolved_stub(const IpAddress& address);

// The servers that `resolv_conf` names; where that is systemd-resolved's stub, the ones that it asks itself,
// which stand in `uplinks`. Empty when nothing can be read. To be called before Host::set_up(), or see
// Host::outside_resolvers().
std::vector<IpAddress> outside_resolvers(const std::string& resolv_conf,
                                         const std::string& uplinks = kResolvedUplinks);

}  // namespace zks::host
