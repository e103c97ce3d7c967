// SPDX-License-Identifier: MIT
#include "host/routing.hpp"

#include <cerrno>
#include <memory>

#include <linux/fib_rules.h>
#include <net/if.h>
#include <netinet/in.h>

#include "host/netlink.hpp"
#include "host/small_file.hpp"
#include "host/sysctl.hpp"
#include "host/tun_link.hpp"

namespace zks::host {
namespace {

using Family = IpAddress::Family;
using Action = Rule::Action;

// The order matters only between steps.
enum Step : std::uint32_t { kOwn, kTunnels, kDhcp, kExcluded, kTaken, kEndStep };

constexpr std::uint32_t kLastMetric = 0x7fffffff;
constexpr int kMaxRounds = 8;

Prefix whole(const IpAddress& address) {
  return make_prefix(address, address.bits());
}

void add_rules(std::vector<Rule>& out, const Plan& plan, Family family) {
  const bool ipv4 = family == Family::kIpv4;
  const auto add = [&](Rule rule) {
    rule.family = family;
    out.push_back(rule);
  };
  add({.action = Action::kEnd, .step = kEndStep});
  add({.action = Action::kPass, .step = kOwn, .marked = true});
  // The last packets of a connection have no user any more, so a rule with users would miss them.
  add({.action = Action::kLookup, .step = kTunnels, .from = whole(ipv4 ? plan.tun_ipv4 : plan.tun_ipv6)});
  // Whoever resolves for a user: nscd, systemd-resolved.
  if (plan.dns) {
    add({.action = Action::kLookup, .step = kTunnels, .to = whole(ipv4 ? plan.dns_ipv4 : plan.dns_ipv6)});
  }
  add({.action = Action::kPass, .step = kDhcp, .dhcp = true});
  if (!ipv4) add({.action = Action::kPass, .step = kExcluded, .to = parse_prefix("fe80::/10")});
  for (const Prefix& prefix : plan.excludes) {
    if (prefix.address.family == family) add({.action = Action::kPass, .step = kExcluded, .to = prefix});
  }
  if (plan.uids.empty()) add({.action = Action::kLookup, .step = kTaken});
  for (const UidRange& range : plan.uids) add({.action = Action::kLookup, .step = kTaken, .uids = range});
}

bool ipv6_in_kernel() {
  return read_sysctl("net/ipv6/conf/all/disable_ipv6").has_value();
}

NetlinkMessage rule_message(const Rule& rule) {
  NetlinkMessage out(RTM_NEWRULE, NLM_F_CREATE);  // twice the same is allowed, as in --exclude
  auto& head = out.body<fib_rule_hdr>();
  const bool ipv4 = rule.family == Family::kIpv4;
  head.family = ipv4 ? AF_INET : AF_INET6;
  head.action = rule.action == Action::kPass     ? FR_ACT_GOTO
                : rule.action == Action::kLookup ? FR_ACT_TO_TBL
                                                 : FR_ACT_NOP;
  if (rule.from) head.src_len = rule.from->length;
  if (rule.to) head.dst_len = rule.to->length;
  out.put(FRA_PRIORITY, kRulePriority + rule.step);
  mnl_attr_put_u8(out.header(), FRA_PROTOCOL, kProtocol);
  if (rule.action == Action::kPass) out.put(FRA_GOTO, kRulePriority + kEndStep);
  if (rule.action == Action::kLookup) out.put(FRA_TABLE, kTable);
  if (rule.from) out.put(FRA_SRC, rule.from->address);
  if (rule.to) out.put(FRA_DST, rule.to->address);
  if (rule.marked) {
    out.put(FRA_FWMARK, kMark);
    out.put(FRA_FWMASK, 0xffffffff);
  }
  if (rule.dhcp) {
    const std::uint16_t client = ipv4 ? 68 : 546;
    const std::uint16_t server = ipv4 ? 67 : 547;
    const fib_rule_port_range from{.start = client, .end = client};
    const fib_rule_port_range to{.start = server, .end = server};
    mnl_attr_put_u8(out.header(), FRA_IP_PROTO, IPPROTO_UDP);
    mnl_attr_put(out.header(), FRA_SPORT_RANGE, sizeof from, &from);
    mnl_attr_put(out.header(), FRA_DPORT_RANGE, sizeof to, &to);
  }
  if (rule.uids) {
    const fib_rule_uid_range range{.start = rule.uids->first, .end = rule.uids->last};
    mnl_attr_put(out.header(), FRA_UID_RANGE, sizeof range, &range);
  }
  return out;
}

NetlinkMessage route_message(const Route& route, unsigned tun) {
  NetlinkMessage out(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  auto& head = out.body<rtmsg>();
  head.rtm_family = static_cast<std::uint8_t>(family_of(route.prefix.address));
  head.rtm_dst_len = route.prefix.length;
  head.rtm_protocol = kProtocol;
  head.rtm_type = route.unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
  head.rtm_scope = route.unreachable ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  out.put(RTA_TABLE, kTable);
  out.put(RTA_DST, route.prefix.address);
  if (route.unreachable) {
    out.put(RTA_PRIORITY, kLastMetric);
  } else {
    out.put(RTA_OIF, tun);
  }
  return out;
}

using Removals = std::vector<std::unique_ptr<NetlinkMessage>>;

// The attributes by which a rule or a route shows whose it is.
struct Owner {
  std::uint32_t priority_or_table = 0;
  std::uint8_t protocol = 0;
};

int read_rule_owner(const nlattr* attribute, void* owner) {
  auto& out = *static_cast<Owner*>(owner);
  const std::uint16_t size = mnl_attr_get_payload_len(attribute);
  const std::uint16_t type = mnl_attr_get_type(attribute);
  if (type == FRA_PROTOCOL && size >= 1) out.protocol = mnl_attr_get_u8(attribute);
  if (type == FRA_PRIORITY && size >= 4) out.priority_or_table = mnl_attr_get_u32(attribute);
  return MNL_CB_OK;
}

int read_route_owner(const nlattr* attribute, void* owner) {
  if (mnl_attr_get_type(attribute) == RTA_TABLE && mnl_attr_get_payload_len(attribute) >= 4) {
    static_cast<Owner*>(owner)->priority_or_table = mnl_attr_get_u32(attribute);
  }
  return MNL_CB_OK;
}

bool is_our_rule(const nlmsghdr& shown) {
  Owner owner;
  mnl_attr_parse(&shown, sizeof(fib_rule_hdr), read_rule_owner, &owner);
  return owner.protocol == kProtocol && owner.priority_or_table >= kRulePriority &&
         owner.priority_or_table <= kRulePriority + kEndStep;
}

bool is_our_route(const nlmsghdr& shown) {
  Owner owner{.protocol = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&shown))->rtm_protocol};
  mnl_attr_parse(&shown, sizeof(rtmsg), read_route_owner, &owner);
  return owner.protocol == kProtocol && owner.priority_or_table == kTable;
}

Result<> find_rules(Netlink& netlink, int family, Removals& out) {
  NetlinkMessage question(RTM_GETRULE, 0);
  question.body<fib_rule_hdr>().family = static_cast<std::uint8_t>(family);
  return netlink.dump(question, "list routing rules", [&](const nlmsghdr& shown) {
    if (shown.nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(&shown) < sizeof(fib_rule_hdr)) return;
    if (!is_our_rule(shown)) return;
    if (auto removal = NetlinkMessage::copy(shown, RTM_DELRULE)) out.push_back(std::move(removal));
  });
}

Result<> find_routes(Netlink& netlink, int family, Removals& out) {
  NetlinkMessage question(RTM_GETROUTE, 0);
  question.body<rtmsg>().rtm_family = static_cast<std::uint8_t>(family);
  question.put(RTA_TABLE, kTable);
  auto asked = netlink.dump(question, "list routes", [&](const nlmsghdr& shown) {
    if (shown.nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(&shown) < sizeof(rtmsg)) return;
    if (!is_our_route(shown)) return;
    if (auto removal = NetlinkMessage::copy(shown, RTM_DELROUTE)) out.push_back(std::move(removal));
  });
  if (!asked && asked.error().detail == ENOENT) return {};  // the table was never used
  return asked;
}

Result<Removals> find_all(Netlink& netlink) {
  Removals out;
  for (auto* const find : {find_rules, find_routes}) {
    for (const int family : {AF_INET, AF_INET6}) {
      auto found = find(netlink, family, out);
      if (!found && found.error().detail != EOPNOTSUPP) return found.error();
    }
  }
  return out;
}

// True if there was anything.
Result<bool> remove_what_is_found(Netlink& netlink) {
  auto found = find_all(netlink);
  if (!found) return found.error();
  const Removals& removals = *found;
  for (const auto& removal : removals) {
    auto removed = netlink.request(*removal, "remove a routing rule or route of ours");
    // ESRCH, ENOENT: gone meanwhile, as routes go with their device.
    if (!removed && removed.error().detail != ESRCH && removed.error().detail != ENOENT)
      return removed.error();
  }
  return !removals.empty();
}

}  // namespace

std::vector<Rule> rules_of(const Plan& plan) {
  std::vector<Rule> out;
  add_rules(out, plan, Family::kIpv4);
  add_rules(out, plan, Family::kIpv6);
  return out;
}

std::vector<Route> routes_of(const Plan& plan, bool ipv6) {
  std::vector<Prefix> prefixes = plan.routes;
  if (plan.dns) prefixes.insert(prefixes.end(), {whole(plan.dns_ipv4), whole(plan.dns_ipv6)});
  std::vector<Route> out;
  for (const Prefix& prefix : prefixes) {
    if (prefix.address.is_ipv4() || ipv6) out.push_back({.prefix = prefix});
    out.push_back({.prefix = prefix, .unreachable = true});
  }
  return out;
}

Result<> install_routing(const Plan& plan) {
  const unsigned tun = ::if_nametoindex(plan.tun.c_str());
  if (tun == 0) return system_error("find the TUN device " + plan.tun, errno);
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  const bool ipv6 = ipv6_in_kernel();
  for (const Route& route : routes_of(plan, has_ipv6(plan.tun))) {
    if (!route.prefix.address.is_ipv4() && !ipv6) continue;
    NetlinkMessage message = route_message(route, tun);
    auto added = netlink->request(
        message, "add the route " + route.prefix.text() + " to table " + std::to_string(kTable));
    if (!added) return added;
  }
  for (const Rule& rule : rules_of(plan)) {
    if (rule.family == Family::kIpv6 && !ipv6) continue;
    NetlinkMessage message = rule_message(rule);
    auto added = netlink->request(
        message, "add a routing rule of priority " + std::to_string(kRulePriority + rule.step));
    if (!added) return added;
  }
  return {};
}

Result<bool> has_routing() {
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  const auto found = find_all(*netlink);
  if (!found) return found.error();
  return !found->empty();
}

Result<bool> remove_routing() {
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  // Again until nothing is left: a dump may miss something while others change theirs.
  bool any = false;
  for (int round = 0; round < kMaxRounds; ++round) {
    const auto removed = remove_what_is_found(*netlink);
    if (!removed) return removed.error();
    if (!*removed) return any;
    any = true;
  }
  return make_error(ErrorKind::kIo,
                    "routing rules of ours come back: is another process of this program up?");
}

}  // namespace zks::host
