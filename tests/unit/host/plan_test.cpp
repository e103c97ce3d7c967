// SPDX-License-Identifier: MIT
//
// From a plan to nftables' commands, rules and routes. That the kernel takes them, and what they do, is shown
// by tests/e2e/test_vpn_host.py.
#include "host/plan.hpp"

#include <gmock/gmock.h>

#include "../support/temporary_directory.hpp"
#include "host/firewall.hpp"
#include "host/host.hpp"
#include "host/routing.hpp"

namespace zks::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

IpAddress address(const char* text) {
  return parse_ip_address(text).value();
}

Prefix prefix(const char* text) {
  return parse_prefix(text).value();
}

// One line a rule: what it looks at, and what it does.
std::vector<std::string> texts(const std::vector<Rule>& rules, IpAddress::Family family) {
  std::vector<std::string> out;
  for (const Rule& rule : rules) {
    if (rule.family != family) continue;
    std::string text = std::to_string(rule.step) + ":";
    if (rule.marked) text += " marked";
    if (rule.dhcp) text += " dhcp";
    if (rule.local) text += " local";
    if (rule.from) text += " from " + rule.from->text();
    if (rule.to) text += " to " + rule.to->text();
    if (rule.uids)
      text += " uids " + std::to_string(rule.uids->first) + "-" + std::to_string(rule.uids->last);
    out.push_back(text + (rule.action == Rule::Action::kPass     ? " pass"
                          : rule.action == Rule::Action::kLookup ? " lookup"
                          : rule.action == Rule::Action::kRefuse ? " refuse"
                                                                 : " end"));
  }
  return out;
}

std::vector<std::string> texts(const std::vector<Route>& routes) {
  std::vector<std::string> out;
  for (const Route& route : routes)
    out.push_back((route.unreachable ? "unreachable " : "") + route.prefix.text());
  return out;
}

constexpr auto kIpv4 = IpAddress::Family::kIpv4;
constexpr auto kIpv6 = IpAddress::Family::kIpv6;

TEST(Rules, OfEverybody) {
  const Plan plan{.tun = "zks0", .excludes = {prefix("10.0.0.0/8"), prefix("fd00::/8")}};
  EXPECT_THAT(
      texts(rules_of(plan), kIpv4),
      ElementsAre("6: end", "0: marked pass", "1: from 198.18.0.1/32 lookup", "1: to 198.18.0.2/32 lookup",
                  "2: dhcp uids 0-999 pass", "3: to 10.0.0.0/8 pass", "4: lookup"));
  EXPECT_THAT(
      texts(rules_of(plan), kIpv6),
      ElementsAre("6: end", "0: marked pass", "1: from 2001:2::1/128 lookup", "1: to 2001:2::2/128 lookup",
                  "2: dhcp uids 0-999 pass", "3: to fe80::/10 pass", "3: to fd00::/8 pass", "4: local lookup",
                  "4: from ::/1 lookup", "4: from 8000::/1 lookup", "5: local to ::/0 refuse"));
}

TEST(Rules, OfSomeUsersWithoutDns) {
  const Plan plan{.tun = "zks0", .uids = {{1000, 1000}, {2000, 3000}}, .dns = false};
  EXPECT_THAT(texts(rules_of(plan), kIpv4),
              ElementsAre("6: end", "0: marked pass", "1: from 198.18.0.1/32 lookup",
                          "2: dhcp uids 0-999 pass", "4: uids 1000-1000 lookup", "4: uids 2000-3000 lookup"));
}

TEST(Rules, RefuseWhatIsBoundToTheUplinkOverIpv6) {
  Plan plan{
      .tun = "zks0", .routes = {prefix("203.0.113.0/24"), prefix("2001:db8::/32")}, .uids = {{5, 5}, {7, 9}}};
  const auto refusals = [&] {
    std::vector<std::string> out;
    for (const std::string& text : texts(rules_of(plan), kIpv6)) {
      if (text.ends_with("refuse")) out.push_back(text);
    }
    return out;
  };
  EXPECT_THAT(refusals(), ElementsAre("5: local to 2001:db8::/32 uids 5-5 refuse",
                                      "5: local to 2001:db8::/32 uids 7-9 refuse"));
  plan.routes.insert(plan.routes.end(), 200, prefix("2001:db8::/32"));  // more than the kernel should ask
  EXPECT_THAT(refusals(), ElementsAre());
  plan = {.tun = "zks0", .kill_switch = false};
  EXPECT_THAT(refusals(), ElementsAre());
}

TEST(Routes, HaveUnreachableTwins) {
  EXPECT_THAT(texts(routes_of({.tun = "zks0", .routes = {prefix("203.0.113.0/24")}, .dns = false}, true)),
              ElementsAre("203.0.113.0/24", "unreachable 203.0.113.0/24"));
}

TEST(Routes, LeaveIpv6UnreachableWhereTheDeviceHasNone) {
  EXPECT_THAT(texts(routes_of({.tun = "zks0", .dns = false}, false)),
              ElementsAre("0.0.0.0/0", "unreachable 0.0.0.0/0", "unreachable ::/0"));
}

TEST(Routes, LeadToTheTunnelsDns) {
  EXPECT_THAT(texts(routes_of({.tun = "zks0", .routes = {}}, true)),
              ElementsAre("198.18.0.2/32", "unreachable 198.18.0.2/32", "2001:2::2/128",
                          "unreachable 2001:2::2/128"));
}

TEST(FirewallCommands, ReplaceTheWholeTable) {
  EXPECT_THAT(firewall_commands({.tun = "zks0"}, {}),
              StartsWith("table inet zks-vpn\ndelete table inet zks-vpn\ntable inet zks-vpn {\n"));
}

TEST(FirewallCommands, OfTheGuardHaveAnOwner) {
  EXPECT_THAT(firewall_commands({.tun = "zks0"}, {}, "guard", true),
              StartsWith("table inet guard\ndelete table inet guard\ntable inet guard {\n\tflags owner\n"));
}

TEST(FirewallCommands, HaveTheSetsOfThePlan) {
  const std::string commands = firewall_commands({.tun = "zks0", .excludes = {prefix("10.0.0.0/8")}},
                                                 {{.address = address("2001:db8::1"), .port = 443}});
  EXPECT_THAT(
      commands,
      HasSubstr("set excluded4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8 } }"));
  EXPECT_THAT(commands, HasSubstr("set excluded6 { type ipv6_addr; flags interval; auto-merge;  }"));
  EXPECT_THAT(
      commands,
      HasSubstr("set taken4 { type ipv4_addr; flags interval; auto-merge; elements = { 0.0.0.0/0 } }"));
  EXPECT_THAT(commands, HasSubstr("elements = { 2001:db8::1 . tcp . 443 }"));
  EXPECT_THAT(commands, HasSubstr("chain forward"));
  EXPECT_THAT(commands, Not(HasSubstr("@uids")));
}

TEST(FirewallCommands, OfSomeUsersLetForwardedTrafficBe) {
  const std::string commands = firewall_commands({.tun = "zks0", .uids = {{1000, 1000}, {5, 9}}}, {});
  EXPECT_THAT(commands, HasSubstr("elements = { 1000-1000, 5-9 }"));
  EXPECT_THAT(commands, HasSubstr("meta skuid @uids goto taken"));
  EXPECT_THAT(commands, Not(HasSubstr("chain forward")));
}

TEST(FirewallCommands, WithoutKillSwitchStopOnlyTheTunnelsAddress) {
  const std::string commands = firewall_commands({.tun = "zks0", .kill_switch = false}, {});
  EXPECT_THAT(commands, Not(HasSubstr("reject")));
  EXPECT_THAT(commands, HasSubstr("ip saddr 198.18.0.1 drop"));
  EXPECT_THAT(commands, HasSubstr("th dport @allowed4 accept"));
  EXPECT_THAT(commands, HasSubstr(R"(iifname != { "lo", "zks0" } ip6 daddr 2001:2::1 drop)"));
}

TEST(AllowCommands, ReplaceBothSets) {
  EXPECT_EQ(allow_commands({}), "flush set inet zks-vpn allowed4\nflush set inet zks-vpn allowed6\n");
  EXPECT_EQ(allow_commands({{.address = address("192.0.2.1"), .port = 443},
                            {.address = address("192.0.2.2"), .port = 53, .udp = true},
                            {.address = address("2001:db8::1"), .port = 8443}}),
            "flush set inet zks-vpn allowed4\n"
            "add element inet zks-vpn allowed4 { 192.0.2.1 . tcp . 443, 192.0.2.2 . udp . 53 }\n"
            "flush set inet zks-vpn allowed6\n"
            "add element inet zks-vpn allowed6 { 2001:db8::1 . tcp . 8443 }\n");
}

// Refused before anything is touched: as it is here, the tests would change the machine that they run on.
TEST(Plan, ThatCannotBeIsRefused) {
  test::TemporaryDirectory directory;
  const std::string journal = directory.path() / "journal.json";
  const std::vector<Plan> plans{
      {.tun = ""},
      {.tun = "0123456789abcdef"},
      {.tun = "a\" accept"},
      {.tun = "../all"},
      {.tun = "zks0", .tun_ipv4 = address("2001:db8::1")},
      {.tun = "zks0", .dns_ipv6 = address("192.0.2.1")},
      {.tun = "zks0", .mtu = 1279},
      {.tun = "zks0", .mtu = 65536},
      {.tun = "zks0", .excludes = std::vector<Prefix>(257, prefix("10.0.0.0/8"))},
      {.tun = "zks0", .uids = {{2, 1}}},
  };
  for (const Plan& plan : plans) {
    const auto host = Host::set_up(plan, journal);
    ASSERT_FALSE(host.has_value());
    EXPECT_EQ(host.error().kind, ErrorKind::kUsage) << host.error().text;
  }
  EXPECT_FALSE(std::filesystem::exists(journal));
}

}  // namespace
}  // namespace zks::host
