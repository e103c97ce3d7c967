// SPDX-License-Identifier: MIT
#include "exit/policy.hpp"

#include <charconv>
#include <utility>

#include "base/ascii.hpp"
#include "base/port.hpp"
#include "base/relay_url.hpp"
#include "exit/special_ranges.hpp"

namespace zks::exit {
namespace {

Error usage(std::string_view rule, const char* what) {
  return make_error(ErrorKind::kUsage, "rule \"" + std::string(rule) + "\": " + what);
}

// Splits "X:PORT" and "[X]:PORT"; more than one colon without brackets is an IPv6 prefix without a port.
struct HostAndPort {
  std::string_view host;
  std::optional<std::string_view> port;
};
std::optional<HostAndPort> split_port(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view after = text.substr(end + 1);
    if (!after.empty() && after.front() != ':') return std::nullopt;
    HostAndPort out{.host = text.substr(1, end - 1), .port = std::nullopt};
    if (!after.empty()) out.port = after.substr(1);
    return out;
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon != text.rfind(':')) return HostAndPort{text, std::nullopt};
  return HostAndPort{text.substr(0, colon), text.substr(colon + 1)};
}

// A rule for ::ffff:10.0.0.0/104 is one for 10.0.0.0/8: addresses are unmapped before they are compared.
Prefix unmapped_prefix(const Prefix& prefix) {
  const IpAddress address = unmapped(prefix.address);
  if (address.family == prefix.address.family || prefix.length < 96) return prefix;
  return make_prefix(address, static_cast<std::uint8_t>(prefix.length - 96));
}

// Whoever can hand in mail at every server can send it in this exit's name, and its address is soon on the
// lists of those who do: 25 is for servers, 465 is the same with TLS. 587 asks for a password first.
bool is_mail_port(std::uint16_t port) {
  return port == 25 || port == 465;
}

bool is_for_port_alone(const Rule& rule) {
  return !rule.prefix && rule.name.empty();
}

bool matches_name(const Rule& rule, std::string_view name) {
  if (is_for_port_alone(rule)) return true;
  if (!rule.subdomains) return name == rule.name;
  return name.size() > rule.name.size() + 1 && name.ends_with(rule.name) &&
         name[name.size() - rule.name.size() - 1] == '.';
}

bool matches_port(const Rule& rule, std::uint16_t port) {
  return !rule.port || *rule.port == port;
}

bool matches(const Rule& rule, std::string_view name, const IpAddress& address, std::uint16_t port) {
  if (!matches_port(rule, port)) return false;
  if (!rule.prefix) return is_for_port_alone(rule) || (!name.empty() && matches_name(rule, name));
  const auto behind = nat64_target(address);
  return rule.prefix->contains(address) || (behind && rule.prefix->contains(*behind));
}

}  // namespace

std::string normalise_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return to_lower(name);
}

Result<Rule> parse_rule(std::string_view text) {
  const auto parts = split_port(text);
  if (!parts) return usage(text, "an IPv6 address with a port is written [ADDRESS]:PORT");
  Rule rule{.prefix = {}, .name = {}, .subdomains = false, .port = {}, .text = std::string(text)};
  if (parts->port) {
    rule.port = parse_port(*parts->port);
    if (!rule.port) return usage(text, "the port is not a number from 1 to 65535");
  }
  if (parts->host == "*" && rule.port && !text.starts_with('[')) return rule;
  if (const auto prefix = parse_prefix(parts->host)) {
    rule.prefix = unmapped_prefix(*prefix);
    return rule;
  }
  if (parts->host.find_first_of("/:") != std::string_view::npos) {
    return usage(text, "not a network: ADDRESS/LENGTH, with no bits set after the length");
  }
  std::string name = normalise_name(parts->host);
  rule.subdomains = name.starts_with("*.");
  if (rule.subdomains) name.erase(0, 2);
  const auto host = parse_host_port(name, 0);
  if (text.starts_with('[') || !host) return usage(text, "neither an address, a network nor a name");
  if (parse_ip_address(name)) return usage(text, "*. stands before a name");
  rule.name = std::move(name);
  return rule;
}

Policy::Policy(Rules rules) : rules_(std::move(rules)) {}

Policy::Policy(std::shared_ptr<const Policy> exit, Rules rules)
    : exit_(std::move(exit)), rules_(std::move(rules)) {}

std::string Policy::told(bool allow, const Rule& rule) const {
  return (exit_ ? "this invite's --" : "--") + std::string(allow ? "allow " : "deny ") + rule.text;
}

std::optional<Verdict> Policy::denied_by_name(std::string_view name, std::uint16_t port) const {
  const std::string wanted = normalise_name(name);
  if (exit_) {
    if (auto denied = exit_->denied_by_name(wanted, port)) return denied;
  }
  for (const Rule& rule : rules_.deny) {
    if (!rule.prefix && matches_port(rule, port) && matches_name(rule, wanted)) {
      return Verdict{false, told(false, rule)};
    }
  }
  return std::nullopt;
}

// By the exit's rules first, then by this invite's.
std::optional<Verdict> Policy::decided_by_rules(bool allow, std::string_view name, const IpAddress& address,
                                                std::uint16_t port) const {
  if (exit_) {
    if (auto decided = exit_->decided_by_rules(allow, name, address, port)) return decided;
  }
  for (const Rule& rule : allow ? rules_.allow : rules_.deny) {
    if (allow && is_for_port_alone(rule)) continue;  // judge_port()
    if (matches(rule, name, address, port)) return Verdict{allow, told(allow, rule)};
  }
  return std::nullopt;
}

// The range or network that closes `address`.
std::optional<Verdict> Policy::closed_address(const IpAddress& address) const {
  const IpAddress target = nat64_target(address).value_or(address);
  if (const char* range = special_range(target)) return Verdict{false, range};
  for (const net::LocalNetwork& network : exit().local_networks_) {
    if (network.prefix.contains(address) || network.prefix.contains(target)) {
      return Verdict{false, "this exit's own network on " + network.interface};
    }
  }
  return std::nullopt;
}

// Of an address that is open.
Verdict Policy::judge_port(std::uint16_t port) const {
  if (!is_mail_port(port)) return {true, "public address"};
  for (const Policy* policy : {&exit(), this}) {
    for (const Rule& rule : policy->rules_.allow) {
      if (is_for_port_alone(rule) && matches_port(rule, port)) return {true, policy->told(true, rule)};
    }
  }
  return {false, "mail port " + std::to_string(port)};
}

Verdict Policy::judge(std::string_view name, const IpAddress& address, std::uint16_t port) const {
  const std::string wanted = normalise_name(name);
  const IpAddress real = unmapped(address);
  if (auto denied = decided_by_rules(false, wanted, real, port)) return std::move(*denied);
  if (auto allowed = decided_by_rules(true, wanted, real, port)) return std::move(*allowed);
  if (auto closed = closed_address(real)) return std::move(*closed);
  return judge_port(port);
}

}  // namespace zks::exit
