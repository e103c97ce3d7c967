// SPDX-License-Identifier: MIT
#include "exit/listen_rules.hpp"

#include <algorithm>

#include "base/port.hpp"
#include "base/usage_error.hpp"

namespace zks::exit {
namespace {

constexpr std::uint16_t kFirstUnprivileged = 1024;

bool is_loopback(const IpAddress& address) {
  if (address.is_ipv4()) return address.bytes[0] == 127;
  return std::all_of(address.bytes.begin(), address.bytes.end() - 1, [](auto byte) { return byte == 0; }) &&
         address.bytes[15] == 1;
}

bool is_any(const IpAddress& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(), [](auto byte) { return byte == 0; });
}

}  // namespace

bool ListenRule::covers(const IpAddress& bind) const {
  if (!address) return is_loopback(bind);
  if (address->family != bind.family) return false;
  return is_any(*address) || *address == bind;
}

bool ListenRule::allows(std::uint16_t port) const {
  if (port < first || port > last) return false;
  return port >= kFirstUnprivileged || first == last;
}

Result<ListenRule> parse_listen_rule(std::string_view text) {
  ListenRule rule;
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    std::string_view address = text.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']')) {
      address = address.substr(1, address.size() - 2);
      if (address.find(':') == std::string_view::npos) return usage_error("brackets are for IPv6 addresses");
    } else if (address.find(':') != std::string_view::npos) {
      return usage_error("an IPv6 address stands in brackets, as in [::1]:8080");
    }
    rule.address = parse_ip_address(address);
    if (!rule.address) return usage_error("not an IP address and port, as in 127.0.0.1:8080");
    text.remove_prefix(colon + 1);
  }
  const std::size_t dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) {
    return usage_error(
        "not a port or range of ports, as in 8080 or 8000-8999, with an address in front or none");
  }
  rule.first = *first;
  rule.last = *last;
  return rule;
}

bool ListenRules::allows(const IpAddress& bind, std::uint16_t port) const {
  return std::any_of(rules_.begin(), rules_.end(),
                     [&](const ListenRule& rule) { return rule.covers(bind) && rule.allows(port); });
}

std::vector<std::uint16_t> ListenRules::candidates(const IpAddress& bind, std::size_t most) const {
  std::vector<std::uint16_t> out;
  for (const ListenRule& rule : rules_) {
    if (!rule.covers(bind)) continue;
    for (std::uint32_t port = rule.first; port <= rule.last && out.size() < most; ++port) {
      if (rule.allows(static_cast<std::uint16_t>(port))) out.push_back(static_cast<std::uint16_t>(port));
    }
  }
  return out;
}

}  // namespace zks::exit
