// SPDX-License-Identifier: MIT
#include "host/name_service.hpp"

#include <algorithm>

#include <net/if.h>

#include "base/log.hpp"
#include "host/resolv_conf.hpp"
#include "host/resolved.hpp"
#include "host/resolvers.hpp"
#include "host/small_file.hpp"

namespace zks::host {
namespace {

// Only resolv.conf says who is asked in this network namespace: the bus may well lead to another one's
// resolver.
bool programs_ask_resolved(const std::string& resolv_conf) {
  const auto text = read_small_file(resolv_conf);
  if (!text) return false;
  const auto servers = parse_nameservers(*text);
  return std::any_of(servers.begin(), servers.end(), is_resolved_stub);
}

int index_of(const std::string& tun) {
  return static_cast<int>(::if_nametoindex(tun.c_str()));
}

Result<> tell_resolved(const Plan& plan) {
  const auto bus = open_system_bus();
  if (!bus) return bus.error();
  return set_resolved(bus->get(), index_of(plan.tun), {plan.dns_ipv4, plan.dns_ipv6});
}

}  // namespace

Result<std::string> set_up_name_service(const Plan& plan, Journal& journal) {
  if (programs_ask_resolved(plan.resolv_conf)) {
    const auto told = tell_resolved(plan);
    if (told) return std::string(kNameServiceResolved);
    log::warn("{}; {} goes around it", told.error().text, plan.resolv_conf);
  }
  const auto change = plan_resolv_conf(plan);
  if (!change) return change.error();
  if (auto written = journal.append(*change); !written) return written.error();
  if (auto replaced = replace_resolv_conf(*change); !replaced) return replaced.error();
  return plan.resolv_conf;
}

Result<> take_down_name_service(const std::string& tun, const std::string& what) {
  const int device = index_of(tun);
  if (what != kNameServiceResolved || device == 0) return {};
  const auto bus = open_system_bus();
  if (!bus) return bus.error();
  return revert_resolved(bus->get(), device);
}

}  // namespace zks::host
