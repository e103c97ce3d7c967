// SPDX-License-Identifier: MIT
#include "frontdoor/forward_spec.hpp"

#include <algorithm>
#include <optional>

#include <arpa/inet.h>

#include "base/bytes.hpp"
#include "base/port.hpp"
#include "base/usage_error.hpp"
#include "frontdoor/http_target.hpp"

namespace zks::frontdoor {
namespace {

using session::Destination;
using session::ListenKind;

constexpr std::size_t kMaxPath = 107;  // sun_path, with its NUL
constexpr std::size_t kMaxSpec = 1024;

Error not_a_forward() {
  return usage_error(
      "not of the form [BIND:]PORT:HOST:PORT, as in 8080:example.org:80; IPv6 stands in brackets");
}

std::optional<Destination> parse_bind(std::string_view text) {
  Destination out;
  const bool ipv6 = text.starts_with('[') && text.ends_with(']');
  out.kind = ipv6 ? Destination::Kind::kIpv6 : Destination::Kind::kIpv4;
  const std::string address(ipv6 ? text.substr(1, text.size() - 2) : text);
  if (::inet_pton(ipv6 ? AF_INET6 : AF_INET, address.c_str(), out.address.data()) != 1) return std::nullopt;
  if (address.find('\0') != std::string::npos) return std::nullopt;
  return out;
}

bool set_bind(std::string_view bind, ForwardPlace& place) {
  const bool any = bind == "*";
  const bool loopback = bind == "localhost";
  const auto address = parse_bind(any ? "0.0.0.0" : loopback ? "127.0.0.1" : bind);
  if (!address) return false;
  place.address = *address;
  if (any || loopback) place.also = parse_bind(any ? "[::]" : "[::1]");
  return true;
}

// Takes [BIND:]PORT: off the front.
Result<ForwardPlace> take_listen(std::string_view& text) {
  ForwardPlace place;
  std::string_view bind = "127.0.0.1";
  std::size_t end = text.find(':');
  if (text.starts_with('[')) end = text.find("]:");
  if (end == std::string_view::npos) return not_a_forward();
  if (text[end] == ']') ++end;
  const std::string_view front = text.substr(0, end);
  auto port = parse_port_to_bind(front);
  if (!port) {
    bind = front;
    text.remove_prefix(end + 1);
    end = text.find(':');
    if (end == std::string_view::npos) return not_a_forward();
    port = parse_port_to_bind(text.substr(0, end));
  }
  text.remove_prefix(end + 1);
  if (!set_bind(bind, place))
    return usage_error("the address to listen on is not an IP address, localhost or *");
  if (!port) return not_a_forward();
  place.address.port = *port;
  if (place.also) place.also->port = *port;
  return place;
}

Result<ForwardPlace> parse_path(std::string_view text) {
  if (text.size() > kMaxPath) return usage_error("the path of a unix socket has at most 107 bytes");
  if (text.find('\0') != std::string_view::npos || text.size() < 2)
    return usage_error("not the path of a socket");
  ForwardPlace place;
  place.path = std::string(text);
  return place;
}

Result<ForwardPlace> parse_target(std::string_view text) {
  if (text.starts_with('/')) return parse_path(text);
  const auto destination = parse_authority(text, std::nullopt);
  if (!destination || destination->port == 0) return not_a_forward();
  ForwardPlace place;
  place.address = *destination;
  return place;
}

// Where /PATH: ends: HOST:PORT stands behind it, and paths may have colons.
std::size_t end_of_path(std::string_view text) {
  const std::size_t port = text.rfind(':');
  if (port == std::string_view::npos || port == 0) return std::string_view::npos;
  if (text[port - 1] == ']') {
    const std::size_t bracket = text.rfind(":[", port);
    return bracket;
  }
  return text.rfind(':', port - 1);
}

Result<ForwardSpec> parse(std::string_view text) {
  ForwardSpec spec;
  if (text.size() > kMaxSpec) return not_a_forward();
  const bool to_path = !text.starts_with('/') && text.find(":/") != std::string_view::npos;
  if (!to_path && text.ends_with("/udp")) {
    spec.kind = ListenKind::kUdp;
    text.remove_suffix(4);
  } else if (!to_path && text.ends_with("/tcp")) {
    text.remove_suffix(4);
  }
  if (text.starts_with('/')) {
    const std::size_t end = end_of_path(text);
    if (end == std::string_view::npos) return not_a_forward();
    auto path = parse_path(text.substr(0, end));
    if (!path) return path.error();
    spec.listen = std::move(*path);
    text.remove_prefix(end + 1);
  } else {
    auto listen = take_listen(text);
    if (!listen) return listen.error();
    spec.listen = std::move(*listen);
  }
  auto target = parse_target(text);
  if (!target) return target.error();
  spec.target = std::move(*target);
  if (spec.kind == ListenKind::kUdp && (spec.listen.is_unix() || spec.target.is_unix())) {
    return usage_error("unix sockets are forwarded as streams only, without /udp");
  }
  return spec;
}

}  // namespace

Result<ForwardSpec> parse_local_forward(std::string_view text) {
  auto spec = parse(text);
  if (spec && spec->target.is_unix()) {
    return usage_error("a unix socket at the exit can't be reached, only HOST:PORT");
  }
  return spec;
}

Result<ForwardSpec> parse_remote_forward(std::string_view text) {
  auto spec = parse(text);
  if (spec && spec->listen.is_unix())
    return usage_error("the exit does not listen on unix sockets, only on PORT");
  if (spec) spec->listen.also.reset();
  return spec;
}

std::string to_text(const ForwardPlace& place) {
  if (place.also) {
    return (is_open_to_others(place) ? "*:" : "localhost:") + std::to_string(place.address.port);
  }
  return place.is_unix() ? printable(place.path) : session::to_text(place.address);
}

std::string to_text(const ForwardSpec& spec) {
  return to_text(spec.listen) + ":" + to_text(spec.target) + (spec.kind == ListenKind::kUdp ? "/udp" : "");
}

bool is_open_to_others(const ForwardPlace& place) {
  if (place.is_unix()) return false;
  const auto& bytes = place.address.address;
  if (place.address.kind == Destination::Kind::kIpv4) return bytes[0] != 127;
  const bool zeros = std::all_of(bytes.begin(), bytes.end() - 1, [](auto byte) { return byte == 0; });
  return !zeros || bytes[15] != 1;
}

}  // namespace zks::frontdoor
