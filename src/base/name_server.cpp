// SPDX-License-Identifier: MIT
#include "base/name_server.hpp"

#include <algorithm>

namespace zks {
namespace {

constexpr std::size_t kMaxZone = 15;  // IFNAMSIZ - 1

bool is_link_local(const IpAddress& address) {
  return !address.is_ipv4() && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

bool is_zone(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:@";
  return !text.empty() && text.size() <= kMaxZone &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

std::string NameServer::text() const {
  return zone.empty() ? address.text() : address.text() + "%" + zone;
}

std::optional<NameServer> parse_name_server(std::string_view text) {
  const std::size_t percent = text.find('%');
  const auto address = parse_ip_address(text.substr(0, percent));
  if (!address) return std::nullopt;
  if (percent == std::string_view::npos) return NameServer{*address};
  const std::string_view zone = text.substr(percent + 1);
  if (!is_link_local(*address) || !is_zone(zone)) return std::nullopt;
  return NameServer{*address, std::string(zone)};
}

std::vector<NameServer> parse_name_servers(std::string_view text, std::size_t most) {
  constexpr std::string_view kKeyword = "nameserver";
  std::vector<NameServer> out;
  while (!text.empty() && out.size() < most) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // As glibc reads it: the keyword in the first column, then blanks, and the address up to the next one.
    if (!line.starts_with(kKeyword)) continue;
    line.remove_prefix(kKeyword.size());
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == 0 || begin == std::string_view::npos) continue;
    line.remove_prefix(begin);
    if (auto server = parse_name_server(line.substr(0, line.find_first_of(" \t\r;#")))) {
      out.push_back(std::move(*server));
    }
  }
  return out;
}

}  // namespace zks
