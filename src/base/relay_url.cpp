// SPDX-License-Identifier: MIT
#include "base/relay_url.hpp"

#include <algorithm>
#include <optional>

#include <arpa/inet.h>

#include "base/ascii.hpp"
#include "base/port.hpp"
#include "base/usage_error.hpp"

namespace zks {
namespace {

// RFC 1035, section 2.3.4.
constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;
// The relay refuses request targets over 512 bytes; its own part of one takes about 70.
constexpr std::size_t kMaxPrefixBytes = 256;

bool is_ipv4(const std::string& text) {
  in_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1;
}

// The one spelling of an IPv6 address (RFC 5952), so that equal addresses give equal authorities.
std::optional<std::string> canonical_ipv6(const std::string& text) {
  in6_addr address{};
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return std::nullopt;
  char out[INET6_ADDRSTRLEN] = {};
  if (inet_ntop(AF_INET6, &address, out, sizeof out) == nullptr) return std::nullopt;
  return std::string(out);
}

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > kMaxLabelBytes) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return is_digit(c) || is_letter(c) || c == '-' || c == '_'; });
}

// A name whose last label is a number would be read as an IPv4 address by some resolvers ("127.1"), so it has
// to be a complete one.
bool is_host_name(const std::string& name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  std::string_view rest = name;
  std::string_view label;
  while (true) {
    const std::size_t dot = rest.find('.');
    label = rest.substr(0, dot);
    if (!is_label(label)) return false;
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  return !std::all_of(label.begin(), label.end(), is_digit) || is_ipv4(name);
}

// RFC 3986's unreserved characters, in segments that are neither empty nor dots.
bool is_prefix(std::string_view prefix) {
  if (prefix.size() > kMaxPrefixBytes) return false;
  while (!prefix.empty()) {
    prefix.remove_prefix(1);  // the slash, see the caller and the find below
    const std::size_t slash = std::min(prefix.find('/'), prefix.size());
    const std::string_view segment = prefix.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return false;
    if (!std::all_of(segment.begin(), segment.end(), [](char c) {
          return is_digit(c) || is_letter(c) || c == '-' || c == '_' || c == '.' || c == '~';
        })) {
      return false;
    }
    prefix.remove_prefix(slash);
  }
  return true;
}

std::uint16_t default_port(bool tls) {
  return tls ? 443 : 80;
}

}  // namespace

std::string format_host_port(const std::string& host, std::uint16_t port) {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
  HostPort out{.host = {}, .port = default_port};
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return usage_error("an IPv6 address lacks its closing ]");
    auto address = canonical_ipv6(std::string(text.substr(1, end - 1)));
    if (!address) return usage_error("what stands in [] is not an IPv6 address");
    out.host = std::move(*address);
    port = text.substr(end + 1);
    if (!port.empty() && port.front() != ':') return usage_error("after ] only :PORT may follow");
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    out.host = to_lower(text.substr(0, colon));
    port = text.substr(colon);
    if (port.find(':', 1) != std::string_view::npos)
      return usage_error("an IPv6 address stands in [], as in [::1]:443");
    if (out.host.empty()) return usage_error("the host is missing");
    if (!is_host_name(out.host)) return usage_error("the host is neither a DNS name nor an IP address");
  }
  if (!port.empty()) {
    const auto number = parse_port_to_bind(port.substr(1));
    if (!number) return usage_error("the port is not a number up to 65535");
    out.port = *number;
  }
  return out;
}

std::string RelayUrl::authority() const {
  std::string out = format_host_port(host, port);
  if (port == default_port(tls)) out.resize(out.rfind(':'));
  return out;
}

std::string RelayUrl::text() const {
  return (tls ? "wss://" : "ws://") + authority() + prefix;
}

Result<RelayUrl> parse_relay_url(std::string_view text) {
  RelayUrl out;
  if (text.starts_with("wss://")) {
    text.remove_prefix(6);
  } else if (text.starts_with("ws://")) {
    out.tls = false;
    text.remove_prefix(5);
  } else {
    return usage_error("a relay URL starts with wss:// or ws://");
  }
  if (text.find_first_of("?#@") != std::string_view::npos) {
    return usage_error("a relay URL has no user, query or fragment");
  }
  const std::size_t slash = std::min(text.find('/'), text.size());
  auto host = parse_host_port(text.substr(0, slash), default_port(out.tls));
  if (!host) return usage_error("relay URL: " + host.error().text);
  if (host->port == 0) return usage_error("relay URL: port 0 can't be dialled");
  out.host = std::move(host->host);
  out.port = host->port;
  std::string_view prefix = text.substr(slash);
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (!is_prefix(prefix))
    return usage_error("relay URL: the path may hold letters, digits and -._~ between single slashes");
  out.prefix = std::string(prefix);
  return out;
}

}  // namespace zks
