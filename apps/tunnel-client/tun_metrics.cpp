// SPDX-License-Identifier: MIT
//
// The metrics of a client's TUN device (docs/guide/operating.md has them in a table).
#include "watch_service.hpp"

namespace zks::app {
namespace {

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

}  // namespace

void add_metrics(ops::Families& out, const vpn::GateStatus& status) {
  out.gauge("zks_client_tun_open_connections", "TCP connections of the TUN device.",
            number(status.connections));
  out.gauge("zks_client_tun_open_flows", "UDP flows of the TUN device.", number(status.flows));
  out.counters("zks_client_tun_connections_total",
               "TCP connections that programs asked for, by the exit's answer.", "answer",
               {{number(status.tcp.opened), "opened"}, {number(status.tcp.refused), "refused"}});
  out.counters("zks_client_tun_datagrams_total", "Datagrams of UDP through the TUN device.", "direction",
               {{number(status.udp.sent), "sent"}, {number(status.udp.received), "received"}});
  out.counters("zks_client_tun_pings_total", "Echo requests, and what came back to them.", "direction",
               {{number(status.echo.asked), "sent"}, {number(status.echo.answered), "received"}});
  out.counter("zks_client_tun_dns_queries_total", "Queries for the exit's resolver.",
              number(status.dns.asked));
  out.counter("zks_client_tun_unreachable_total", "Packets that were answered as unreachable here.",
              number(status.unreachable));
  std::vector<ops::Families::Sample> dropped;
  for (const auto& [reason, count] : vpn::drops(status)) dropped.push_back({number(count), reason});
  out.counters("zks_client_tun_dropped_total", "Packets of the TUN device that were dropped.", "reason",
               std::move(dropped));
}

}  // namespace zks::app
