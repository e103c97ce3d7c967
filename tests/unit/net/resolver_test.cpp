// SPDX-License-Identifier: MIT
//
// Names looked up at a DNS server that answers well, badly, late or not at all.
#include "net/resolver.hpp"

#include <gmock/gmock.h>

#include "../support/dns_server.hpp"
#include "../support/run.hpp"
#include "net/address_order.hpp"

namespace zks::net {
namespace {

using std::chrono::steady_clock;
using test::run;
using testing::ElementsAre;
using testing::UnorderedElementsAre;
using Behaviour = test::DnsServer::Behaviour;

class ResolverTest : public testing::Test {
 protected:
  // Silence is noticed after `attempt_timeout_ms`, twice; 250 ms is the least that c-ares takes.
  std::shared_ptr<Resolver> resolver(int attempt_timeout_ms = 5000) {
    const LookupOptions options = {
        .servers = server.address(), .attempt_timeout_ms = attempt_timeout_ms, .attempts = 2, .open = {}};
    auto created = Resolver::create(context.get_executor(), options);
    EXPECT_TRUE(created.has_value());
    return created.value();
  }

  Resolution resolve(std::string name, int attempt_timeout_ms = 5000) {
    const auto deadline = steady_clock::now() + std::chrono::seconds(30);
    return run(context, resolver(attempt_timeout_ms)->resolve(std::move(name), deadline));
  }

  boost::asio::io_context context{1};
  test::DnsServer server{context};
};

std::vector<std::string> texts(const Resolution& resolution) {
  std::vector<std::string> out;
  for (const IpAddress& address : resolution.addresses) out.push_back(address.text());
  return out;
}

TEST_F(ResolverTest, Ipv4Only) {
  server.names["four.test"] = {.ipv4 = {"127.0.0.1", "127.0.0.2"}};
  EXPECT_THAT(texts(resolve("four.test")), UnorderedElementsAre("127.0.0.1", "127.0.0.2"));
}

TEST_F(ResolverTest, Ipv6Only) {
  server.names["six.test"] = {.ipv6 = {"::1"}};
  EXPECT_THAT(texts(resolve("six.test")), ElementsAre("::1"));
}

TEST_F(ResolverTest, FamiliesInTurnFromIpv6On) {
  server.names["both.test"] = {.ipv4 = {"127.0.0.1", "127.0.0.2"}, .ipv6 = {"::1"}};
  EXPECT_THAT(texts(resolve("both.test")), ElementsAre("::1", "127.0.0.1", "127.0.0.2"));
}

TEST_F(ResolverTest, NamesInAnyCaseAndWithAFinalDot) {
  server.names["four.test"] = {.ipv4 = {"127.0.0.1"}};
  EXPECT_THAT(texts(resolve("FOUR.Test.")), ElementsAre("127.0.0.1"));
}

TEST_F(ResolverTest, NoSuchName) {
  const Resolution out = resolve("nobody.test");
  EXPECT_TRUE(out.addresses.empty());
  EXPECT_EQ(out.failure, LookupFailure::kNotFound);
}

TEST_F(ResolverTest, NameWithoutAddresses) {
  server.names["empty.test"] = {};
  EXPECT_EQ(resolve("empty.test").failure, LookupFailure::kNotFound);
}

TEST_F(ResolverTest, NoSuchNameIsKnownFromOneAnswer) {
  server.names["half.test"] = {.on_a = Behaviour::kNxDomain, .on_aaaa = Behaviour::kSilent};
  EXPECT_EQ(resolve("half.test").failure, LookupFailure::kNotFound);
  server.names["half.test"] = {.on_a = Behaviour::kSilent, .on_aaaa = Behaviour::kNxDomain};
  EXPECT_EQ(resolve("half.test").failure, LookupFailure::kNotFound);
}

TEST_F(ResolverTest, ALostAaaaAnswerDoesNotHoldTheOtherBack) {
  server.names["half.test"] = {.ipv4 = {"127.0.0.1"}, .on_aaaa = Behaviour::kSilent};
  EXPECT_THAT(texts(resolve("half.test")), ElementsAre("127.0.0.1"));
  EXPECT_EQ(server.queries(), 2u) << "answered before anything was asked again";
}

TEST_F(ResolverTest, AnAAnswerIsWaitedFor) {
  server.names["late.test"] = {.ipv6 = {"::1"}, .on_a = Behaviour::kSilent};
  EXPECT_THAT(texts(resolve("late.test", 250)), ElementsAre("::1"));
  EXPECT_GE(server.queries(), 3u) << "the A query was repeated";
}

TEST_F(ResolverTest, SilentServerTimesOut) {
  server.names["silent.test"] = {.on_a = Behaviour::kSilent, .on_aaaa = Behaviour::kSilent};
  EXPECT_EQ(resolve("silent.test", 250).failure, LookupFailure::kTimedOut);
  EXPECT_EQ(server.queries(), 4u) << "two tries for each type";
}

TEST_F(ResolverTest, DeadlineEndsTheLookup) {
  server.names["silent.test"] = {.on_a = Behaviour::kSilent, .on_aaaa = Behaviour::kSilent};
  const auto one = resolver(60'000);
  const auto started = steady_clock::now();
  const Resolution out = run(context, one->resolve("silent.test", started + std::chrono::milliseconds(50)));
  EXPECT_EQ(out.failure, LookupFailure::kTimedOut);
  EXPECT_GE(steady_clock::now() - started, std::chrono::milliseconds(50));
}

TEST_F(ResolverTest, ServerFailure) {
  server.names["broken.test"] = {.on_a = Behaviour::kServFail, .on_aaaa = Behaviour::kServFail};
  EXPECT_EQ(resolve("broken.test").failure, LookupFailure::kUnanswered);
}

TEST_F(ResolverTest, GarbageAndForgedIdsAreNotAnswers) {
  for (const Behaviour behaviour : {Behaviour::kGarbage, Behaviour::kWrongId}) {
    server.names["forged.test"] = {.ipv4 = {"127.0.0.9"}, .on_a = behaviour, .on_aaaa = behaviour};
    const Resolution out = resolve("forged.test", 250);
    EXPECT_TRUE(out.addresses.empty());
    EXPECT_EQ(out.failure, LookupFailure::kTimedOut);
  }
}

TEST_F(ResolverTest, AnswerThatEndsTooEarly) {
  server.names["cut.test"] = {.ipv4 = {"127.0.0.9"}, .on_a = Behaviour::kCutAnswer};
  const Resolution out = resolve("cut.test", 250);
  EXPECT_TRUE(out.addresses.empty());
  EXPECT_EQ(out.failure, LookupFailure::kUnanswered);
}

TEST_F(ResolverTest, OneBadAnswerDoesNotSpoilTheOther) {
  server.names["mixed.test"] = {.ipv4 = {"127.0.0.9"}, .ipv6 = {"::1"}, .on_aaaa = Behaviour::kCutAnswer};
  EXPECT_THAT(texts(resolve("mixed.test", 250)), ElementsAre("127.0.0.9"));
}

TEST_F(ResolverTest, TruncatedAnswersAreFetchedOverTcp) {
  test::DnsServer::Name large{.on_a = Behaviour::kTruncated};
  for (int i = 1; i <= 40; ++i) large.ipv4.push_back("127.0.1." + std::to_string(i));
  server.names["large.test"] = large;
  EXPECT_EQ(resolve("large.test").addresses.size(), 40u);
  EXPECT_EQ(server.tcp_queries(), 1u);
}

TEST_F(ResolverTest, ManyAddressesAreBounded) {
  test::DnsServer::Name huge{.on_a = Behaviour::kTruncated};
  for (int i = 0; i < 2000; ++i) {
    huge.ipv4.push_back("127." + std::to_string(1 + i / 250) + ".1." + std::to_string(1 + i % 250));
  }
  server.names["huge.test"] = huge;
  EXPECT_EQ(resolve("huge.test").addresses.size(), 64u);
}

TEST_F(ResolverTest, HostsFileComesBeforeDns) {
  server.names["localhost"] = {.ipv4 = {"127.9.9.9"}, .ipv6 = {"fd00::9"}};
  const std::vector<std::string> found = texts(resolve("localhost"));
  EXPECT_THAT(found, testing::Contains("127.0.0.1"));
  EXPECT_THAT(found, testing::Not(testing::Contains("127.9.9.9")));
  EXPECT_EQ(server.queries(), 0u) << "a name of the hosts file is not asked for in any family";
}

TEST_F(ResolverTest, WhatIsNoNameIsNotAskedFor) {
  const std::string long_label(64, 'a');
  std::string long_name;
  for (int i = 0; i < 64; ++i) long_name += "abc.";
  for (const std::string& name : {std::string(),
                                  std::string("."),
                                  std::string(".."),
                                  std::string("a..test"),
                                  std::string(".test"),
                                  std::string("a b.test"),
                                  std::string("a\\.b.test"),
                                  std::string("a\0.test", 7),
                                  std::string("[::1]"),
                                  std::string("a/b"),
                                  std::string("a:80"),
                                  std::string("a\n"),
                                  std::string("127.1"),
                                  std::string("0x7f.1"),
                                  std::string("0X7F000001"),
                                  std::string("2130706433"),
                                  std::string("0177.0.0.1"),
                                  std::string("a.0x"),
                                  long_label + ".test",
                                  long_name}) {
    EXPECT_EQ(resolve(name).failure, LookupFailure::kNotFound) << name;
  }
  EXPECT_EQ(server.queries(), 0u);
}

TEST_F(ResolverTest, NamesWithDigitsAreNames) {
  for (const char* name : {"1.test", "0x7f.test", "127.0.0.1.test", "a.1x", "x0"}) {
    server.names[name] = {.ipv4 = {"127.0.0.1"}};
    EXPECT_THAT(texts(resolve(name)), ElementsAre("127.0.0.1")) << name;
  }
}

TEST_F(ResolverTest, AServerFromBeforeEdnsIsAskedWithout) {
  server.names["old.test"] = {
      .ipv4 = {"127.0.0.1"}, .on_a = Behaviour::kOldServer, .on_aaaa = Behaviour::kOldServer};
  EXPECT_THAT(texts(resolve("old.test")), ElementsAre("127.0.0.1"));
}

TEST_F(ResolverTest, AnotherServerIsAskedWhereOneRefuses) {
  test::DnsServer second(context);
  second.names["two.test"] = {.ipv4 = {"127.0.0.1"}};
  for (const Behaviour behaviour : {Behaviour::kServFail, Behaviour::kRefused, Behaviour::kRefusedBare}) {
    server.names["two.test"] = {.on_a = behaviour, .on_aaaa = behaviour};
    LookupOptions options;
    options.servers = server.address() + "," + second.address();
    const auto both = Resolver::create(context.get_executor(), options).value();
    const auto deadline = steady_clock::now() + std::chrono::seconds(30);
    EXPECT_THAT(texts(run(context, both->resolve("two.test", deadline))), ElementsAre("127.0.0.1"));
  }
}

TEST_F(ResolverTest, NamesBelowLocalhostAndOnionAreNotAskedFor) {
  EXPECT_THAT(texts(resolve("a.LOCALHOST")), ElementsAre("::1", "127.0.0.1"));
  EXPECT_EQ(resolve("a.onion").failure, LookupFailure::kNotFound);
  EXPECT_EQ(server.queries(), 0u);
}

TEST_F(ResolverTest, ServersAreAddresses) {
  for (const char* servers : {"127.0.0.1", "127.0.0.1:5353", "[::1]:5353", "::1", "127.0.0.1,127.0.0.2:54",
                              "fe80::1%eth0", "[fe80::1%3]:5353"}) {
    LookupOptions options;
    options.servers = servers;
    EXPECT_TRUE(Resolver::create(context.get_executor(), options).has_value()) << servers;
  }
  for (const char* servers : {"dns.example", "127.0.0.1:0", "127.0.0.1:x", "127.1", "[::1", "127.0.0.1,,",
                              "[]", "[::1]5", "::1%eth0", "127.0.0.1:70000"}) {
    LookupOptions options;
    options.servers = servers;
    const auto created = Resolver::create(context.get_executor(), options);
    ASSERT_TRUE(created.has_error()) << servers;
    EXPECT_EQ(created.error().kind, ErrorKind::kUsage);
  }
}

TEST(AddressOrderTest, UnroutedAddressesComeLastInTheirFamily) {
  const auto address = [](const char* text) { return parse_ip_address(text).value(); };
  // The kernel refuses to connect even a UDP socket to the broadcast address.
  const auto out = order_addresses({}, {address("255.255.255.255"), address("127.0.0.1")});
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out.front(), address("127.0.0.1"));
}

TEST(AddressOrderTest, Empty) {
  EXPECT_TRUE(order_addresses({}, {}).empty());
}

}  // namespace
}  // namespace zks::net
