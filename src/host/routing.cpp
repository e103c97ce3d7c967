// SPDX-License-Identifier: MIT
#include "host/routing.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>

#include <linux/fib_rules.h>
#include <net/if.h>
#include <netinet/in.h>

#include "base/netlink.hpp"
#include "host/small_file.hpp"
#include "host/sysctl.hpp"
#include "host/tun_link.hpp"

namespace zks::host {
namespace {

using Family = IpAddress::Family;
using Action = Rule::Action;

// The order matters only between steps.
enum Step : std::uint32_t { kOwn, kTunnels, kDhcp, kExcluded, kTaken, kRefused, kEndStep };

constexpr std::uint32_t kLastMetric = 0x7fffffff;
constexpr int kMaxRounds = 8;
// The kernel asks rules one after the other. With more of them IPv6 sockets of the uplink wait for their
// time-out.
constexpr std::size_t kMaxRefusals = 256;

Prefix whole(const IpAddress& address) {
  return make_prefix(address, address.bits());
}

// The kernel looks for the gateway of somebody's new route by the same rules. It must find it behind the
// uplink: for IPv4 the scope of our routes says so; for IPv6 that question has neither an interface nor a
// source.
std::vector<Rule> lookups(const Plan& plan, Family family) {
  std::vector<Rule> out;
  const bool ipv4 = family == Family::kIpv4;
  for (const UidRange& range : plan.uids) {
    out.push_back({.action = Action::kLookup, .step = kTaken, .local = !ipv4, .uids = range});
  }
  if (!plan.uids.empty()) return out;
  out.push_back({.action = Action::kLookup, .step = kTaken, .local = !ipv4});
  if (ipv4) return out;
  for (const char* half : {"::/1", "8000::/1"}) {  // what is forwarded
    out.push_back({.action = Action::kLookup, .step = kTaken, .from = parse_prefix(half)});
  }
  return out;
}

// An IPv6 socket that is bound to the uplink finds none of our routes, whose device is another one, and goes
// on to the machine's. The kill switch stops its packets, but the ICMP error comes by lo, from which its TCP
// takes nothing.
std::vector<Rule> refusals(const Plan& plan) {
  std::vector<Rule> out;
  if (!plan.kill_switch) return out;
  for (const Prefix& prefix : plan.routes) {
    if (prefix.address.is_ipv4()) continue;
    const Rule rule{.action = Action::kRefuse, .step = kRefused, .local = true, .to = prefix};
    if (plan.uids.empty()) out.push_back(rule);
    for (const UidRange& range : plan.uids) {
      out.push_back(rule);
      out.back().uids = range;
    }
  }
  if (out.size() > kMaxRefusals) out.clear();
  return out;
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
  add({.action = Action::kPass, .step = kDhcp, .dhcp = true, .uids = kServices});
  if (!ipv4) add({.action = Action::kPass, .step = kExcluded, .to = parse_prefix("fe80::/10")});
  for (const Prefix& prefix : plan.excludes) {
    if (prefix.address.family == family) add({.action = Action::kPass, .step = kExcluded, .to = prefix});
  }
  for (const Rule& rule : lookups(plan, family)) add(rule);
  if (ipv4) return;
  for (const Rule& rule : refusals(plan)) add(rule);
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
                : rule.action == Action::kEnd    ? FR_ACT_NOP
                                                 : FR_ACT_PROHIBIT;
  if (rule.from) head.src_len = rule.from->length;
  if (rule.to) head.dst_len = rule.to->length;
  out.put(FRA_PRIORITY, kRulePriority + rule.step);
  mnl_attr_put_u8(out.header(), FRA_PROTOCOL, kProtocol);
  if (rule.action == Action::kPass) out.put(FRA_GOTO, kRulePriority + kEndStep);
  if (rule.action == Action::kLookup) out.put(FRA_TABLE, kTable);
  if (rule.local) mnl_attr_put_strz(out.header(), FRA_IIFNAME, "lo");
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
  // Not RT_SCOPE_LINK: a gateway that somebody names without its device would be found behind ours.
  head.rtm_scope = RT_SCOPE_UNIVERSE;
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
using Each = std::function<void(const nlmsghdr&)>;

// A dumped message's attributes by their types.
class Attributes {
 public:
  Attributes(const nlmsghdr& shown, unsigned head) { mnl_attr_parse(&shown, head, keep, this); }
  bool has(std::uint16_t type) const { return found_[type] != nullptr; }
  std::uint32_t number(std::uint16_t type) const {
    const nlattr* const at = found_[type];
    if (at == nullptr) return 0;
    return mnl_attr_get_payload_len(at) >= 4 ? mnl_attr_get_u32(at) : mnl_attr_get_u8(at);
  }
  // A default prefix has no attribute.
  Prefix prefix(std::uint16_t type, Family family, std::uint8_t length) const {
    IpAddress address{.family = family};
    const nlattr* const at = found_[type];
    const std::size_t bytes = address.bits() / 8;
    if (at != nullptr && mnl_attr_get_payload_len(at) >= bytes) {
      std::memcpy(address.bytes.data(), mnl_attr_get_payload(at), bytes);
    }
    return make_prefix(address, length);
  }
  std::optional<UidRange> uids() const {
    const nlattr* const at = found_[FRA_UID_RANGE];
    if (at == nullptr || mnl_attr_get_payload_len(at) < sizeof(fib_rule_uid_range)) return std::nullopt;
    fib_rule_uid_range range{};
    std::memcpy(&range, mnl_attr_get_payload(at), sizeof range);
    return UidRange{range.start, range.end};
  }

 private:
  static int keep(const nlattr* attribute, void* self) {
    auto& found = static_cast<Attributes*>(self)->found_;
    const std::uint16_t type = mnl_attr_get_type(attribute);
    if (type < found.size()) found[type] = attribute;
    return MNL_CB_OK;
  }

  static_assert(FRA_MAX < 32 && RTA_TABLE < 32);
  std::array<const nlattr*, 32> found_{};
};

// Nothing if it is not one of ours.
std::optional<Rule> read_rule(const nlmsghdr& shown) {
  const auto& head = *static_cast<const fib_rule_hdr*>(mnl_nlmsg_get_payload(&shown));
  const Attributes attributes(shown, sizeof(fib_rule_hdr));
  const std::uint32_t priority = attributes.number(FRA_PRIORITY);
  if (attributes.number(FRA_PROTOCOL) != kProtocol || priority < kRulePriority ||
      priority > kRulePriority + kEndStep) {
    return std::nullopt;
  }
  const Family family = head.family == AF_INET ? Family::kIpv4 : Family::kIpv6;
  Rule out{.family = family, .step = priority - kRulePriority};
  out.action = head.action == FR_ACT_GOTO     ? Action::kPass
               : head.action == FR_ACT_TO_TBL ? Action::kLookup
               : head.action == FR_ACT_NOP    ? Action::kEnd
                                              : Action::kRefuse;
  out.marked = attributes.number(FRA_FWMARK) == kMark;
  out.dhcp = attributes.has(FRA_DPORT_RANGE);
  out.local = attributes.has(FRA_IIFNAME);
  if (head.src_len != 0) out.from = attributes.prefix(FRA_SRC, family, head.src_len);
  if (head.dst_len != 0) out.to = attributes.prefix(FRA_DST, family, head.dst_len);
  // Rules without users show the range of all.
  if (const auto uids = attributes.uids(); uids && *uids != UidRange{0, UINT32_MAX}) out.uids = uids;
  return out;
}

// The same; also if it leads to another device than `tun`, unless that is 0.
std::optional<Route> read_route(const nlmsghdr& shown, unsigned tun) {
  const auto& head = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&shown));
  const Attributes attributes(shown, sizeof(rtmsg));
  if (head.rtm_protocol != kProtocol || attributes.number(RTA_TABLE) != kTable) return std::nullopt;
  const bool unreachable = head.rtm_type == RTN_UNREACHABLE;
  if (!unreachable && tun != 0 && attributes.number(RTA_OIF) != tun) return std::nullopt;
  const Family family = head.rtm_family == AF_INET ? Family::kIpv4 : Family::kIpv6;
  return Route{attributes.prefix(RTA_DST, family, head.rtm_dst_len), unreachable};
}

// A family that the kernel does not have has none.
Result<> without_family(Result<> asked) {
  if (!asked && asked.error().detail == EOPNOTSUPP) return {};
  return asked;
}

Result<> each_rule(Netlink& netlink, int family, const Each& each) {
  NetlinkMessage question(RTM_GETRULE, 0);
  question.body<fib_rule_hdr>().family = static_cast<std::uint8_t>(family);
  return without_family(netlink.dump(question, "list routing rules", [&](const nlmsghdr& shown) {
    if (shown.nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(&shown) < sizeof(fib_rule_hdr)) return;
    if (read_rule(shown)) each(shown);
  }));
}

Result<> each_route(Netlink& netlink, int family, const Each& each) {
  NetlinkMessage question(RTM_GETROUTE, 0);
  question.body<rtmsg>().rtm_family = static_cast<std::uint8_t>(family);
  question.put(RTA_TABLE, kTable);
  auto asked = netlink.dump(question, "list routes", [&](const nlmsghdr& shown) {
    if (shown.nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(&shown) < sizeof(rtmsg)) return;
    if (read_route(shown, 0)) each(shown);
  });
  if (!asked && asked.error().detail == ENOENT) return {};  // the table was never used
  return without_family(asked);
}

// The kernel does not show a prefix of everything.
std::optional<Prefix> as_shown(const std::optional<Prefix>& prefix) {
  return prefix && prefix->length == 0 ? std::nullopt : prefix;
}

void erase_same(std::vector<Rule>& rules, const Rule& shown) {
  std::erase_if(rules, [&](Rule rule) {
    rule.from = as_shown(rule.from);
    rule.to = as_shown(rule.to);
    if (rule.uids && *rule.uids == UidRange{0, UINT32_MAX}) rule.uids.reset();
    return rule == shown;
  });
}

Result<Removals> find_all(Netlink& netlink) {
  Removals out;
  const auto keep_as = [&](std::uint16_t type) {
    return [&out, type](const nlmsghdr& shown) {
      if (auto copy = NetlinkMessage::copy(shown, type)) out.push_back(std::move(copy));
    };
  };
  for (const int family : {AF_INET, AF_INET6}) {
    if (auto found = each_rule(netlink, family, keep_as(RTM_DELRULE)); !found) return found.error();
  }
  for (const int family : {AF_INET, AF_INET6}) {
    if (auto found = each_route(netlink, family, keep_as(RTM_DELROUTE)); !found) return found.error();
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

Result<bool> install_routing(const Plan& plan) {
  const unsigned tun = ::if_nametoindex(plan.tun.c_str());
  if (tun == 0) return system_error("find the TUN device " + plan.tun, errno);
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  std::vector<Rule> rules = rules_of(plan);
  std::vector<Route> routes = routes_of(plan, has_ipv6(plan.tun));
  if (!ipv6_in_kernel()) {
    std::erase_if(rules, [](const Rule& rule) { return rule.family == Family::kIpv6; });
    std::erase_if(routes, [](const Route& route) { return !route.prefix.address.is_ipv4(); });
  }
  for (const int family : {AF_INET, AF_INET6}) {
    auto found = each_route(*netlink, family, [&](const nlmsghdr& shown) {
      if (const auto route = read_route(shown, tun)) std::erase(routes, *route);
    });
    if (found) {
      found = each_rule(*netlink, family, [&](const nlmsghdr& shown) {
        if (const auto rule = read_rule(shown)) erase_same(rules, *rule);
      });
    }
    if (!found) return found.error();
  }
  for (const Route& route : routes) {
    NetlinkMessage message = route_message(route, tun);
    auto added = netlink->request(
        message, "add the route " + route.prefix.text() + " to table " + std::to_string(kTable));
    if (!added) return added.error();
  }
  for (const Rule& rule : rules) {
    NetlinkMessage message = rule_message(rule);
    auto added = netlink->request(
        message, "add a routing rule of priority " + std::to_string(kRulePriority + rule.step));
    if (!added) return added.error();
  }
  return !routes.empty() || !rules.empty();
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
