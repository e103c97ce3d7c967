// SPDX-License-Identifier: MIT
#include "host/resolvers.hpp"

#include <algorithm>

#include "host/small_file.hpp"

namespace zks::host {

std::vector<IpAddress> parse_nameservers(std::string_view text) {
  constexpr std::string_view kKeyword = "nameserver";
  std::vector<IpAddress> out;
  while (!text.empty() && out.size() < kMaxNameservers) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // As glibc reads it: the keyword in the first column, then blanks, and the address up to the next one.
    if (!line.starts_with(kKeyword)) continue;
    line.remove_prefix(kKeyword.size());
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == 0 || begin == std::string_view::npos) continue;
    line.remove_prefix(begin);
    if (const auto address = parse_ip_address(line.substr(0, line.find_first_of(" \t\r;#")))) {
      out.push_back(*address);
    }
  }
  return out;
}

bool is_resolved_stub(const IpAddress& address) {
  return address == *parse_ip_address("127.0.0.53") || address == *parse_ip_address("127.0.0.54");
}

std::vector<IpAddress> outside_resolvers(const std::string& resolv_conf, const std::string& uplinks) {
  const auto text = read_small_file(resolv_conf);
  std::vector<IpAddress> servers;
  if (text) servers = parse_nameservers(*text);
  if (std::none_of(servers.begin(), servers.end(), is_resolved_stub)) return servers;
  const auto asked = read_small_file(uplinks);
  if (!asked) return {};
  return parse_nameservers(*asked);
}

}  // namespace zks::host
