// SPDX-License-Identifier: MIT
#include "vpn/namespace_routes.hpp"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "base/netlink.hpp"

namespace zks::vpn {
namespace {

constexpr std::uint32_t kMark = 1;
constexpr std::uint8_t kTable = 100;
constexpr std::uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;

Result<> add_route(Netlink& netlink, std::uint8_t family, std::uint8_t table, std::uint8_t type,
                   unsigned device) {
  NetlinkMessage message(RTM_NEWROUTE, kCreate);
  auto& route = message.body<rtmsg>();
  route.rtm_family = family;
  route.rtm_table = table;
  route.rtm_type = type;
  route.rtm_scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK;
  route.rtm_protocol = RTPROT_STATIC;
  message.put(RTA_OIF, device);
  return netlink.request(message, "add a route in the private namespace");
}

Result<> add_rule(Netlink& netlink, std::uint8_t family) {
  NetlinkMessage message(RTM_NEWRULE, kCreate);
  auto& rule = message.body<fib_rule_hdr>();
  rule.family = family;
  rule.table = kTable;
  rule.action = FR_ACT_TO_TBL;
  message.put(FRA_FWMARK, kMark);
  return netlink.request(message, "add a rule in the private namespace");
}

}  // namespace

Result<> route_everything_here(unsigned device, unsigned loopback) {
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    if (auto done = add_route(*netlink, family, RT_TABLE_MAIN, RTN_UNICAST, device); !done) return done;
    if (auto done = add_route(*netlink, family, kTable, RTN_LOCAL, loopback); !done) return done;
    if (auto done = add_rule(*netlink, family); !done) return done;
  }
  return {};
}

}  // namespace zks::vpn
