// SPDX-License-Identifier: MIT
#include "host/resolvers.hpp"

#include <algorithm>

#include "host/small_file.hpp"

namespace zks::host {

std::vector<IpAddress> parse_nameservers(std::string_view text, std::size_t most) {
  constexpr std::string_view kKeyword = "nameserver";
  std::vector<IpAddress> out;
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
    if (const auto address = parse_ip_address(line.substr(0, line.find_first_of(" \t\r;#")))) {
      out.push_back(*address);
    }
  }
  return out;
}

bool is_resolved_stub(const IpAddress& address) {
  return address == *parse_ip_address("127.0.0.53") || address == *parse_ip_address("127.0.0.54");
}

bool is_forwarder(const IpAddress& address) {
  return address.is_ipv4() ? address.bytes[0] == 127 : address == *parse_ip_address("::1");
}

namespace {

// systemd-resolved lists the tunnel's own servers among the others, perhaps in front.
std::vector<IpAddress> servers_in(const std::string& file, const std::vector<IpAddress>& ours) {
  const auto text = read_small_file(file);
  if (!text) return {};
  auto out = parse_nameservers(*text, kMaxNameservers + ours.size());
  std::erase_if(out, [&](const IpAddress& one) { return std::ranges::find(ours, one) != ours.end(); });
  if (out.size() > kMaxNameservers) out.resize(kMaxNameservers);
  return out;
}

}  // namespace

std::vector<IpAddress> outside_resolvers(const std::string& resolv_conf, const std::vector<IpAddress>& ours,
                                         const std::vector<std::string>& uplinks) {
  auto servers = servers_in(resolv_conf, ours);
  if (std::ranges::none_of(servers, is_forwarder)) return servers;
  for (const std::string& file : uplinks) {
    const auto asked = servers_in(file, ours);
    if (!asked.empty() && std::ranges::none_of(asked, is_forwarder)) return asked;
  }
  std::erase_if(servers, is_resolved_stub);
  return servers;
}

}  // namespace zks::host
