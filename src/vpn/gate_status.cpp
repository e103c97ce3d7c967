// SPDX-License-Identifier: MIT
#include "vpn/gate_status.hpp"

#include <numeric>

namespace zks::vpn {

std::vector<std::pair<std::string, std::uint64_t>> drops(const GateStatus& status) {
  const auto& fragments = status.fragments;
  return {{"malformed", std::accumulate(status.malformed.begin(), status.malformed.end(), std::uint64_t{0})},
          {"fragments", fragments.timed_out + fragments.crowded_out + fragments.refused},
          {"connection", status.tcp.dropped},
          {"stray", status.tcp.strays},
          {"icmp_error", status.errors.dropped},
          {"datagram", status.udp.dropped},
          {"ping", status.echo.dropped},
          {"ping_limit", status.echo.limited},
          {"dns_query", status.dns.dropped},
          {"device_full", status.lost}};
}

nlohmann::json to_json(const GateStatus& status) {
  auto dropped = nlohmann::json::object();
  for (const auto& [reason, count] : drops(status)) dropped[reason] = count;
  auto malformed = nlohmann::json::object();
  for (std::size_t i = 0; i < status.malformed.size(); ++i) {
    if (status.malformed[i] == 0) continue;
    malformed[packet::describe(static_cast<packet::Malformed>(i))] = status.malformed[i];
  }
  return {{"connections", status.connections},
          {"flows", status.flows},
          {"opened", status.tcp.opened},
          {"refused", status.tcp.refused},
          {"datagrams_sent", status.udp.sent},
          {"datagrams_received", status.udp.received},
          {"pings", status.echo.asked},
          {"pings_answered", status.echo.answered},
          {"dns_queries", status.dns.asked},
          {"unreachable", status.unreachable},
          {"expired", status.expired},
          {"icmp_errors", status.errors.used},
          {"dropped", dropped},
          {"malformed", malformed}};
}

}  // namespace zks::vpn
