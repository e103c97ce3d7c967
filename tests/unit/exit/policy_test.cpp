// SPDX-License-Identifier: MIT
//
// What the exit keeps closed, and that its operator can open each of it, by table.
#include "exit/policy.hpp"

#include <gmock/gmock.h>

#include "exit/special_ranges.hpp"

namespace zks::exit {
namespace {

using testing::HasSubstr;

IpAddress address(std::string_view text) {
  const auto parsed = parse_ip_address(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed.value_or(IpAddress{});
}

std::vector<Rule> rules(std::initializer_list<std::string> texts) {
  std::vector<Rule> out;
  for (const std::string& text : texts) {
    auto rule = parse_rule(text);
    EXPECT_TRUE(rule.has_value()) << text;
    if (rule) out.push_back(*rule);
  }
  return out;
}

Policy policy(std::initializer_list<std::string> allow = {}, std::initializer_list<std::string> deny = {}) {
  return Policy(Rules{rules(allow), rules(deny)});
}

struct Closed {
  const char* target;
  const char* allow;   // the range that it is in
  const char* reason;  // a part of it
};

constexpr Closed kClosed[] = {
    {"0.0.0.0", "0.0.0.0/8", "this network"},
    {"0.255.255.255", "0.0.0.0/8", "this network"},
    {"10.0.0.0", "10.0.0.0/8", "private"},
    {"10.255.255.255", "10.0.0.0/8", "private"},
    {"100.64.0.1", "100.64.0.0/10", "carrier-grade"},
    {"100.100.100.200", "100.100.100.200", "carrier-grade"},
    {"100.127.255.255", "100.64.0.0/10", "carrier-grade"},
    {"127.0.0.1", "127.0.0.0/8", "loopback"},
    {"127.255.255.254", "127.0.0.0/8", "loopback"},
    {"169.254.0.1", "169.254.0.0/16", "link-local"},
    {"169.254.169.254", "169.254.169.254", "metadata"},
    {"169.254.170.2", "169.254.0.0/16", "link-local"},
    {"172.16.0.1", "172.16.0.0/12", "private"},
    {"172.31.255.255", "172.16.0.0/12", "private"},
    {"192.0.0.1", "192.0.0.0/24", "IETF"},
    {"192.0.0.170", "192.0.0.0/24", "IETF"},
    {"192.0.0.192", "192.0.0.192", "IETF"},
    {"192.0.2.1", "192.0.2.0/24", "documentation"},
    {"192.31.196.1", "192.31.196.0/24", "AS112"},
    {"192.52.193.1", "192.52.193.0/24", "AMT"},
    {"192.88.99.1", "192.88.99.0/24", "6to4"},
    {"192.168.0.1", "192.168.0.0/16", "private"},
    {"192.168.255.255", "192.168.0.0/16", "private"},
    {"192.175.48.1", "192.175.48.0/24", "AS112"},
    {"198.18.0.1", "198.18.0.0/15", "benchmarking"},
    {"198.19.255.255", "198.18.0.0/15", "benchmarking"},
    {"198.51.100.1", "198.51.100.0/24", "documentation"},
    {"203.0.113.1", "203.0.113.0/24", "documentation"},
    {"224.0.0.1", "224.0.0.0/4", "multicast"},
    {"239.255.255.250", "224.0.0.0/4", "multicast"},
    {"240.0.0.1", "240.0.0.0/4", "reserved"},
    {"255.255.255.255", "255.255.255.255", "broadcast"},
    {"168.63.129.16", "168.63.129.16", "metadata"},
    {"::", "::", "unspecified"},
    {"::1", "::1", "loopback"},
    {"::2", "::/96", "IPv4-compatible"},
    {"::127.0.0.1", "::/96", "IPv4-compatible"},
    {"::8.8.8.8", "::/96", "IPv4-compatible"},
    {"::ffff:127.0.0.1", "127.0.0.0/8", "loopback"},
    {"::ffff:127.0.0.1", "::ffff:127.0.0.0/104", "loopback"},
    {"::ffff:10.1.2.3", "10.0.0.0/8", "private"},
    {"::ffff:169.254.169.254", "169.254.0.0/16", "metadata"},
    {"::ffff:0.0.0.0", "0.0.0.0", "this network"},
    {"::ffff:0:127.0.0.1", "::ffff:0:0:0/96", "IPv4-translated"},
    {"64:ff9b::127.0.0.1", "127.0.0.1", "loopback"},
    {"64:ff9b::10.1.2.3", "64:ff9b::/96", "private"},
    {"64:ff9b::169.254.169.254", "169.254.169.254", "metadata"},
    {"64:ff9b:1::8.8.8.8", "64:ff9b:1::/48", "local NAT64"},
    {"64:ff9b:0:1::1", "64:ff9b:0:1::/64", "outside 2000::/3"},
    {"100::1", "100::/64", "discard"},
    {"100:0:0:1::1", "100:0:0:1::/64", "dummy"},
    {"2001::1", "2001::/32", "Teredo"},
    {"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::/32", "Teredo"},
    {"2001:1::1", "2001:1::/32", "anycast"},
    {"2001:1::3", "2001:1::3", "anycast"},
    {"2001:2::1", "2001:2::/48", "benchmarking"},
    {"2001:4:112::1", "2001:4:112::/48", "AS112"},
    {"2001:10::1", "2001:10::/28", "ORCHID"},
    {"2001:20::1", "2001:20::/28", "ORCHIDv2"},
    {"2001:30::1", "2001:30::/28", "drone"},
    {"2001:3::1", "2001:3::/32", "AMT"},
    {"2001:40::1", "2001::/23", "IETF"},
    {"2001:1ff:ffff::1", "2001::/23", "IETF"},
    {"2001:db8::1", "2001:db8::/32", "documentation"},
    {"2002:7f00:1::", "2002::/16", "6to4"},
    {"2002:808:808::1", "2002::/16", "6to4"},
    {"2620:4f:8000::1", "2620:4f:8000::/48", "AS112"},
    {"3fff::1", "3fff::/20", "documentation"},
    {"4000::1", "4000::/3", "outside 2000::/3"},
    {"5f00::1", "5f00::/16", "segment routing"},
    {"1::1", "1::/16", "outside 2000::/3"},
    {"fc00::1", "fc00::/7", "unique local"},
    {"fd00::1", "fd00::/8", "unique local"},
    {"fd00:ec2::254", "fd00:ec2::254", "metadata"},
    {"fd20:ce::254", "fd20:ce::254", "unique local"},
    {"fe80::1", "fe80::/10", "link-local"},
    {"febf::1", "fe80::/10", "link-local"},
    {"fec0::1", "fec0::/10", "site-local"},
    {"ff02::1", "ff00::/8", "multicast"},
    {"ff0e::1", "ff00::/8", "multicast"},
};

TEST(PolicyTest, SpecialTargetsAreClosed) {
  static_assert(std::size(kClosed) >= 60);
  for (const Closed& one : kClosed) {
    const Verdict verdict = policy().judge("", address(one.target), 80);
    EXPECT_FALSE(verdict.allowed) << one.target;
    EXPECT_THAT(verdict.reason, HasSubstr(one.reason)) << one.target;
    EXPECT_FALSE(policy().judge("looks-public.example", address(one.target), 80).allowed) << one.target;
  }
}

TEST(PolicyTest, AnAllowRuleOpensItsRangeAndNothingElse) {
  for (const Closed& one : kClosed) {
    const Policy opened = policy({one.allow});
    EXPECT_TRUE(opened.judge("", address(one.target), 80).allowed) << one.target;
    EXPECT_EQ(opened.judge("", address(one.target), 80).reason, std::string("--allow ") + one.allow);
    for (const Closed& other : kClosed) {
      const auto range = parse_prefix(one.allow);
      ASSERT_TRUE(range.has_value());
      const IpAddress real = unmapped(address(other.target));
      const IpAddress behind = nat64_target(real).value_or(real);
      const IpAddress range_start = unmapped(range->address);
      const auto length = static_cast<std::uint8_t>(
          range_start.family == range->address.family ? range->length : range->length - 96);
      const Prefix effective = make_prefix(range_start, length);
      const bool inside = effective.contains(real) || effective.contains(behind);
      EXPECT_EQ(opened.judge("", address(other.target), 80).allowed, inside)
          << other.target << " with --allow " << one.allow;
    }
  }
}

TEST(PolicyTest, ADenyRuleBeatsTheAllowRule) {
  for (const Closed& one : kClosed) {
    const Policy both = policy({one.allow}, {one.allow});
    const Verdict verdict = both.judge("", address(one.target), 80);
    EXPECT_FALSE(verdict.allowed) << one.target;
    EXPECT_EQ(verdict.reason, std::string("--deny ") + one.allow);
  }
}

TEST(PolicyTest, PublicTargetsAreOpen) {
  for (const char* target : {"1.1.1.1",
                             "8.8.8.8",
                             "9.255.255.255",
                             "11.0.0.0",
                             "100.63.255.255",
                             "100.128.0.0",
                             "126.255.255.255",
                             "128.0.0.0",
                             "169.253.255.255",
                             "169.255.0.0",
                             "172.15.255.255",
                             "172.32.0.0",
                             "191.255.255.255",
                             "192.0.1.0",
                             "192.0.3.0",
                             "192.167.255.255",
                             "192.169.0.0",
                             "198.17.255.255",
                             "198.20.0.0",
                             "223.255.255.255",
                             "::ffff:8.8.8.8",
                             "64:ff9b::8.8.8.8",
                             "2000::1",
                             "2001:200::1",
                             "2001:4860:4860::8888",
                             "2001:db7::1",
                             "2001:db9::1",
                             "2003::1",
                             "2606:4700:4700::1111",
                             "2a00:1450::1",
                             "3ffe::1"}) {
    EXPECT_TRUE(policy().judge("", address(target), 443).allowed) << target;
    EXPECT_TRUE(policy().judge("public.example", address(target), 443).allowed) << target;
  }
}

TEST(PolicyTest, OwnNetworksAreClosedUnlessAllowed) {
  Policy own = policy({"2a00:1::5", "93.184.0.9:22"});
  EXPECT_TRUE(own.judge("", address("93.184.0.7"), 80).allowed);
  own.set_local_networks({{*parse_prefix("93.184.0.0/24"), "eth0"},
                          {*parse_prefix("2a00:1::/64"), "eth0"},
                          {*parse_prefix("2a00:2::7"), "wg0"}});
  for (const char* target :
       {"93.184.0.7", "93.184.0.9", "::ffff:93.184.0.7", "64:ff9b::93.184.0.7", "2a00:1::1", "2a00:2::7"}) {
    const Verdict verdict = own.judge("", address(target), 80);
    EXPECT_FALSE(verdict.allowed) << target;
    EXPECT_THAT(verdict.reason, HasSubstr("own network")) << target;
  }
  EXPECT_TRUE(own.judge("", address("93.184.1.7"), 80).allowed);
  EXPECT_TRUE(own.judge("", address("2a00:2::8"), 80).allowed);
  EXPECT_TRUE(own.judge("", address("2a00:1::5"), 80).allowed);
  EXPECT_TRUE(own.judge("", address("93.184.0.9"), 22).allowed);
  own.set_local_networks({});
  EXPECT_TRUE(own.judge("", address("93.184.0.7"), 80).allowed);
}

TEST(PolicyTest, PortsOfRules) {
  const Policy ports = policy({"10.1.2.3:22", "[fd00::1]:22", "192.168.0.0/16:443", "[fd01::/16]:53"},
                              {"8.8.8.8:25", "0.0.0.0/0:26"});
  EXPECT_TRUE(ports.judge("", address("10.1.2.3"), 22).allowed);
  EXPECT_FALSE(ports.judge("", address("10.1.2.3"), 23).allowed);
  EXPECT_FALSE(ports.judge("", address("10.1.2.4"), 22).allowed);
  EXPECT_TRUE(ports.judge("", address("fd00::1"), 22).allowed);
  EXPECT_FALSE(ports.judge("", address("fd00::1"), 80).allowed);
  EXPECT_TRUE(ports.judge("", address("192.168.3.4"), 443).allowed);
  EXPECT_FALSE(ports.judge("", address("192.168.3.4"), 80).allowed);
  EXPECT_TRUE(ports.judge("", address("fd01::9"), 53).allowed);
  EXPECT_FALSE(ports.judge("", address("8.8.8.8"), 25).allowed);
  EXPECT_TRUE(ports.judge("", address("8.8.8.8"), 53).allowed);
  EXPECT_FALSE(ports.judge("", address("1.1.1.1"), 26).allowed);
}

TEST(PolicyTest, NamesOfRules) {
  const Policy names = policy({"printer.home:631", "*.lab.example"}, {"*.ads.example", "bad.example:25"});
  const IpAddress inside = address("192.168.1.9");
  const IpAddress outside = address("8.8.8.8");
  EXPECT_TRUE(names.judge("printer.home", inside, 631).allowed);
  EXPECT_TRUE(names.judge("PRINTER.Home.", inside, 631).allowed);
  EXPECT_FALSE(names.judge("printer.home", inside, 22).allowed);
  EXPECT_FALSE(names.judge("other.printer.home", inside, 631).allowed);
  EXPECT_FALSE(names.judge("", inside, 631).allowed) << "a name rule is not for addresses";
  EXPECT_TRUE(names.judge("a.lab.example", inside, 80).allowed);
  EXPECT_TRUE(names.judge("a.b.LAB.example", inside, 80).allowed);
  EXPECT_FALSE(names.judge("lab.example", inside, 80).allowed) << "*. is what is below";
  EXPECT_FALSE(names.judge("xlab.example", inside, 80).allowed);
  EXPECT_FALSE(names.judge(".lab.example", inside, 80).allowed);
  EXPECT_FALSE(names.judge("x.ads.example", outside, 443).allowed);
  EXPECT_TRUE(names.judge("ads.example", outside, 443).allowed);
  EXPECT_FALSE(names.judge("bad.example", outside, 25).allowed);
  EXPECT_TRUE(names.judge("bad.example", outside, 80).allowed);
}

TEST(PolicyTest, NamesAreDeniedBeforeTheyAreLookedUp) {
  const Policy names = policy({"*.ads.example"}, {"*.ads.example", "bad.example:25", "8.8.8.8"});
  ASSERT_TRUE(names.denied_by_name("X.ads.example.", 80).has_value());
  EXPECT_EQ(names.denied_by_name("X.ads.example.", 80)->reason, "--deny *.ads.example");
  EXPECT_TRUE(names.denied_by_name("bad.example", 25).has_value());
  EXPECT_FALSE(names.denied_by_name("bad.example", 80).has_value());
  EXPECT_FALSE(names.denied_by_name("good.example", 80).has_value());
}

TEST(PolicyTest, MailPortsAreClosedUnlessAllowed) {
  for (const std::uint16_t port : {25, 465}) {
    for (const char* target : {"8.8.8.8", "2a00:1450::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"}) {
      const Verdict verdict = policy().judge("mail.example", address(target), port);
      EXPECT_FALSE(verdict.allowed) << target;
      EXPECT_EQ(verdict.reason, "mail port " + std::to_string(port));
      EXPECT_TRUE(policy({"*:" + std::to_string(port)}).judge("", address(target), port).allowed);
      EXPECT_TRUE(policy({"mail.example"}).judge("mail.example", address(target), port).allowed);
    }
  }
  EXPECT_TRUE(policy().judge("", address("8.8.8.8"), 587).allowed);
  EXPECT_TRUE(policy({"8.8.8.8:25"}).judge("", address("8.8.8.8"), 25).allowed);
  EXPECT_FALSE(policy({"8.8.8.8:25"}).judge("", address("8.8.4.4"), 25).allowed);
  EXPECT_FALSE(policy({"*:25"}).judge("", address("8.8.8.8"), 465).allowed);
}

TEST(PolicyTest, ARuleForAPortAloneOpensNoAddress) {
  const Policy open = policy({"*:25", "*:80"});
  for (const Closed& one : kClosed) {
    EXPECT_FALSE(open.judge("", address(one.target), 25).allowed) << one.target;
    EXPECT_FALSE(open.judge("", address(one.target), 80).allowed) << one.target;
  }
  const Policy closed = policy({"10.0.0.0/8"}, {"*:22"});
  EXPECT_EQ(closed.judge("", address("10.1.2.3"), 22).reason, "--deny *:22");
  EXPECT_EQ(closed.judge("a.example", address("8.8.8.8"), 22).reason, "--deny *:22");
  EXPECT_TRUE(closed.judge("", address("10.1.2.3"), 23).allowed);
  EXPECT_TRUE(closed.denied_by_name("a.example", 22).has_value());
}

TEST(PolicyTest, AnInvitesRulesCountWithThoseOfTheExit) {
  const auto exit = std::make_shared<Policy>(
      Rules{rules({"10.0.0.0/8", "192.168.1.1"}), rules({"10.6.6.6", "*.ads.example", "fd00::9"})});
  const Policy guest(exit, Rules{rules({"192.168.2.0/24", "10.6.6.6", "*:25", "fd00::/8"}),
                                 rules({"10.9.0.0/16", "8.8.8.8:53", "games.example"})});
  EXPECT_EQ(guest.judge("", address("10.1.1.1"), 80).reason, "--allow 10.0.0.0/8");
  EXPECT_EQ(guest.judge("", address("192.168.2.7"), 80).reason, "this invite's --allow 192.168.2.0/24");
  EXPECT_EQ(guest.judge("", address("10.9.1.1"), 80).reason, "this invite's --deny 10.9.0.0/16");
  EXPECT_EQ(guest.judge("", address("10.6.6.6"), 80).reason, "--deny 10.6.6.6")
      << "an invite opens nothing that is denied";
  EXPECT_EQ(guest.judge("", address("fd00::9"), 80).reason, "--deny fd00::9");
  EXPECT_EQ(guest.judge("", address("8.8.8.8"), 25).reason, "this invite's --allow *:25");
  EXPECT_FALSE(guest.judge("", address("127.0.0.1"), 25).allowed);
  EXPECT_EQ(guest.denied_by_name("x.ads.example", 80)->reason, "--deny *.ads.example");
  EXPECT_EQ(guest.denied_by_name("GAMES.example.", 80)->reason, "this invite's --deny games.example");
  EXPECT_FALSE(exit->judge("", address("192.168.2.7"), 80).allowed) << "nobody else has it";
  EXPECT_TRUE(exit->judge("", address("8.8.8.8"), 53).allowed);
}

TEST(PolicyTest, ChangesOfTheExitCountForItsInvitesAtOnce) {
  const auto exit = std::make_shared<Policy>(Rules{});
  Policy guest(exit, Rules{});
  EXPECT_FALSE(guest.judge("", address("10.1.1.1"), 80).allowed);
  exit->set_rules(Rules{rules({"10.0.0.0/8"}), rules({"8.8.8.8"})});
  EXPECT_TRUE(guest.judge("", address("10.1.1.1"), 80).allowed);
  EXPECT_FALSE(guest.judge("", address("8.8.8.8"), 80).allowed);
  exit->set_rules(Rules{});
  exit->set_local_networks({{*parse_prefix("93.184.0.0/24"), "eth0"}});
  EXPECT_FALSE(guest.judge("", address("10.1.1.1"), 80).allowed);
  EXPECT_TRUE(guest.judge("", address("8.8.8.8"), 80).allowed);
  EXPECT_FALSE(guest.judge("", address("93.184.0.7"), 80).allowed);
  guest.set_rules(Rules{rules({"93.184.0.7"}), {}});
  EXPECT_TRUE(guest.judge("", address("93.184.0.7"), 80).allowed);
}

TEST(PolicyTest, NameRulesOpenNoOtherAddressForm) {
  const Policy names = policy({"safe.example"});
  EXPECT_FALSE(names.judge("evil.example", address("127.0.0.1"), 80).allowed);
  EXPECT_FALSE(names.judge("safe.example.evil.example", address("127.0.0.1"), 80).allowed);
  EXPECT_FALSE(names.judge("safe.exampl", address("127.0.0.1"), 80).allowed);
}

TEST(RuleTest, RefusesWhatIsNoRule) {
  for (const char* text : {"",
                           ":",
                           ":22",
                           "10.0.0.0/33",
                           "10.1.2.3/8",
                           "10.0.0.0/",
                           "10.0.0.0/-1",
                           "10.0.0.0/8:",
                           "10.0.0.0/8:0",
                           "10.0.0.0/8:65536",
                           "10.0.0.0/8:x",
                           "10.1.2.3:22:33",
                           "fd00::/129",
                           "fd00::1/8",
                           "fd00::/8:22",
                           "[fd00::1",
                           "[fd00::1]22",
                           "[fd00::1]:",
                           "[name]:22",
                           "*.",
                           "*",
                           "*.10.0.0.1",
                           "*:",
                           "*:0",
                           "*:65536",
                           "[*]:25",
                           "**:25",
                           "127.1",
                           "0x7f.1",
                           "2130706433",
                           "a b",
                           "a..b",
                           "-a",
                           "a-",
                           "name:",
                           "name:0",
                           "*.*.example",
                           "a.*.example",
                           "10.0.0.0/8 ",
                           "fe80::1%eth0"}) {
    const auto rule = parse_rule(text);
    ASSERT_TRUE(rule.has_error()) << text;
    EXPECT_EQ(rule.error().kind, ErrorKind::kUsage);
  }
}

TEST(IpAddressTest, TakesFullSpellingsOnly) {
  for (const char* text : {"127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "1.2.3.4.5", "1.2.3.256",
                           " 1.2.3.4", "1.2.3.4 ", "fe80::1%lo", "[::1]", ":::", "", "1.2.3"}) {
    EXPECT_FALSE(parse_ip_address(text).has_value()) << text;
  }
  EXPECT_FALSE(parse_ip_address(std::string_view("127.0.0.1\0.example", 18)).has_value());
}

TEST(IpAddressTest, ReadsWhatOtherProgramsWouldRead) {
  for (const char* text : {"127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0X7F.1", "2130706433",
                           "0x7f000001", "017700000001", "127.0.0.1.", "[127.0.0.1]", "127.0.0.1%lo"}) {
    EXPECT_EQ(parse_spelled_address(text), address("127.0.0.1")) << text;
  }
  EXPECT_EQ(parse_spelled_address("[fe80::1%eth0]"), address("fe80::1"));
  EXPECT_EQ(parse_spelled_address("fe80::1%25lo"), address("fe80::1"));
  EXPECT_EQ(parse_spelled_address("0"), address("0.0.0.0"));
  for (const char* text : {"", ".", "[]", "[", "]", "%", "x", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "a.b",
                           "face.cafe", "127.0.0.1 ", "4294967296", "..", "1..2", "127.0.0.1.."}) {
    EXPECT_FALSE(parse_spelled_address(text).has_value()) << text;
  }
}

TEST(IpAddressTest, PrefixesContainExactlyTheirBits) {
  for (std::uint8_t length = 0; length <= 128; ++length) {
    const IpAddress base = address("2a02:8108:9abc:def0:1357:9bdf:2468:ace1");
    const Prefix prefix = make_prefix(base, length);
    EXPECT_TRUE(prefix.contains(base));
    for (std::uint8_t bit = 0; bit < 128; ++bit) {
      IpAddress flipped = base;
      flipped.bytes[bit / 8] ^= static_cast<std::uint8_t>(0x80 >> (bit % 8));
      EXPECT_EQ(prefix.contains(flipped), bit >= length) << int{length} << ' ' << int{bit};
    }
    EXPECT_EQ(parse_prefix(prefix.text()), prefix);
  }
  EXPECT_FALSE(make_prefix(address("0.0.0.0"), 0).contains(address("::")));
  EXPECT_FALSE(make_prefix(address("::"), 0).contains(address("0.0.0.0")));
}

}  // namespace
}  // namespace zks::exit
