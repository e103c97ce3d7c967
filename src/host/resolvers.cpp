// SPDX-License-Identifier: MIT
#include "host/resolvers.hpp"

#include <algorithm>

#include "host/small_file.hpp"

namespace zks::host {

bool is_resolved_stub(const IpAddress& address) {
  return address == *parse_ip_address("127.0.0.53") || address == *parse_ip_address("127.0.0.54");
}

bool is_forwarder(const IpAddress& address) {
  return address.is_ipv4() ? address.bytes[0] == 127 : address == *parse_ip_address("::1");
}

namespace {

// systemd-resolved lists the tunnel's own servers among the others, perhaps in front.
std::vector<NameServer> servers_in(const std::string& file, const std::vector<IpAddress>& ours) {
  const auto text = read_small_file(file);
  if (!text) return {};
  auto out = parse_name_servers(*text, kMaxNameServers + ours.size());
  std::erase_if(out,
                [&](const NameServer& one) { return std::ranges::find(ours, one.address) != ours.end(); });
  if (out.size() > kMaxNameServers) out.resize(kMaxNameServers);
  return out;
}

}  // namespace

std::vector<NameServer> outside_resolvers(const std::string& resolv_conf, const std::vector<IpAddress>& ours,
                                          const std::vector<std::string>& uplinks) {
  auto servers = servers_in(resolv_conf, ours);
  if (std::ranges::none_of(servers, is_forwarder, &NameServer::address)) return servers;
  for (const std::string& file : uplinks) {
    const auto asked = servers_in(file, ours);
    if (!asked.empty() && std::ranges::none_of(asked, is_forwarder, &NameServer::address)) return asked;
  }
  std::erase_if(servers, [](const NameServer& one) { return is_resolved_stub(one.address); });
  return servers;
}

}  // namespace zks::host
