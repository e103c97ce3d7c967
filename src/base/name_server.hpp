// SPDX-License-Identifier: MIT
//
// The DNS servers that a resolv.conf names: the exit asks them (net/dns_exchange.hpp), and so does vpn's
// parent for the relay's name (host/resolvers.hpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.hpp"

namespace zks {

inline constexpr std::size_t kMaxNameServers = 3;  // as many as glibc reads (resolv.conf(5), MAXNS)

struct NameServer {
  IpAddress address;
  std::string zone = {};  // of a link-local IPv6 address (RFC 4007): an interface's name or number

  std::string text() const;  // "192.0.2.1", "fe80::1%eth0"

  friend bool operator==(const NameServer&, const NameServer&) = default;
};

// An address as in text(). A zone, which has at most 15 letters, digits, '.', '-', '_', ':' and '@', goes
// with a link-local IPv6 address alone: router advertisements (RFC 8106) bring such servers.
std::optional<NameServer> parse_name_server(std::string_view text);

// The first `most` `nameserver` lines.
std::vector<NameServer> parse_name_servers(std::string_view text, std::size_t most = kMaxNameServers);

}  // namespace zks
