// SPDX-License-Identifier: MIT
#include "frontdoor/http_target.hpp"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>

#include "base/ascii.hpp"
#include "base/port.hpp"

namespace zks::frontdoor {
namespace {

using session::Destination;

constexpr std::size_t kMaxNameBytes = 255;  // as in an OPEN frame

bool parse_ipv6(std::string_view text, Destination& out) {
  out.kind = Destination::Kind::kIpv6;
  return ::inet_pton(AF_INET6, std::string(text).c_str(), out.address.data()) == 1;
}

bool parse_name(std::string_view text, Destination& out) {
  const auto may_stand = [](char c) {
    return is_digit(c) || is_letter(c) || c == '-' || c == '_' || c == '.' ||
           static_cast<unsigned char>(c) > 0x7f;
  };
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  if (!std::all_of(text.begin(), text.end(), may_stand)) return false;
  std::string name = to_lower(text);
  if (::inet_pton(AF_INET, name.c_str(), out.address.data()) == 1) {
    out.kind = Destination::Kind::kIpv4;
  } else {
    out.address = {};
    out.kind = Destination::Kind::kName;
    out.name = std::move(name);
  }
  return true;
}

// Bytes above 0x7f do not belong into a URL, but some programs send them and servers know them.
bool is_path(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c != 0x7f && c != '#'; });
}

}  // namespace

std::optional<Destination> parse_authority(std::string_view text, std::optional<std::uint16_t> default_port) {
  Destination out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !parse_ipv6(text.substr(1, end - 1), out)) return std::nullopt;
    rest = text.substr(end + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    if (!parse_name(text.substr(0, colon), out)) return std::nullopt;
    rest = text.substr(colon);
  }
  if (!rest.empty() && rest.front() != ':') return std::nullopt;
  if (rest.size() <= 1) {  // "host" and "host:" mean the default (RFC 3986, section 3.2.3)
    if (!default_port) return std::nullopt;
    out.port = *default_port;
    return out;
  }
  const auto port = parse_port(rest.substr(1));
  if (!port) return std::nullopt;
  out.port = *port;
  return out;
}

std::variant<HttpTarget, TargetError> parse_absolute_target(std::string_view text, bool is_options) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return TargetError::kBad;
  const std::string_view scheme = text.substr(0, colon);
  if (!std::all_of(scheme.begin(), scheme.end(),
                   [](char c) { return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.'; })) {
    return TargetError::kBad;
  }
  if (equal_ignoring_case(scheme, "https") || equal_ignoring_case(scheme, "wss"))
    return TargetError::kEncrypted;
  if (!equal_ignoring_case(scheme, "http")) return TargetError::kScheme;
  std::string_view rest = text.substr(colon + 1);
  if (!rest.starts_with("//")) return TargetError::kBad;
  rest.remove_prefix(2);

  const std::size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  const std::string_view path = rest.substr(authority_end);
  HttpTarget out;
  const std::size_t user_end = authority.rfind('@');
  if (user_end != std::string_view::npos) {
    out.user_info = std::string(authority.substr(0, user_end));
    authority.remove_prefix(user_end + 1);
  }
  const auto destination = parse_authority(authority, kHttpPort);
  if (!destination || !is_path(path) || !is_path(out.user_info)) return TargetError::kBad;
  out.destination = *destination;
  out.host = std::string(authority);
  if (path.empty() && is_options) {
    out.path = "*";  // RFC 9112, section 3.2.4
  } else {
    out.path = path.starts_with('/') ? std::string(path) : "/" + std::string(path);
  }
  return out;
}

}  // namespace zks::frontdoor
