// SPDX-License-Identifier: MIT
//
// Where a relay is: ws:// or wss://, host, port and an optional path prefix. Written by an operator or
// carried in an access link, so it is parsed strictly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace zks {

struct RelayUrl {
  bool tls = true;
  std::string host;  // a DNS name, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = 443;
  std::string prefix;  // "" or "/a/b": no trailing slash

  // host:port as it stands in the Host header, the default port left out, IPv6 in brackets. This string is
  // also what an exit's registration signs.
  std::string authority() const;
  std::string text() const;

  friend bool operator==(const RelayUrl&, const RelayUrl&) = default;
};

// Accepts ws://HOST[:PORT][/PREFIX] and wss://...; kUsage otherwise, saying what is wrong.
Result<RelayUrl> parse_relay_url(std::string_view text);

// Parses HOST[:PORT] or [IPV6][:PORT]; `default_port` when there is none. Names come out in lower case, IPv6
// in its canonical spelling. Port 0 is accepted: a listener takes it as "any free port".
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  auto operator<=>(const HostPort&) const = default;
};
Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port);
std::string format_host_port(const std::string& host, std::uint16_t port);  // with brackets around IPv6

}  // namespace zks
