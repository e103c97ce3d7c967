// SPDX-License-Identifier: MIT
#include "exit/listen_rules.hpp"

#include <gtest/gtest.h>

namespace zks::exit {
namespace {

bool allows(std::vector<std::string> rules, const char* address, std::uint16_t port) {
  std::vector<ListenRule> parsed;
  for (const auto& rule : rules) parsed.push_back(parse_listen_rule(rule).value());
  return ListenRules(parsed).allows(parse_ip_address(address).value(), port);
}

TEST(ListenRules, NothingIsOpenByDefault) {
  EXPECT_FALSE(allows({}, "127.0.0.1", 8080));
}

TEST(ListenRules, APortIsOpenOnLoopbackOnly) {
  EXPECT_TRUE(allows({"8080"}, "127.0.0.1", 8080));
  EXPECT_TRUE(allows({"8080"}, "::1", 8080));
  EXPECT_FALSE(allows({"8080"}, "127.0.0.1", 8081));
  EXPECT_FALSE(allows({"8080"}, "0.0.0.0", 8080));
  EXPECT_FALSE(allows({"8080"}, "::", 8080));
  EXPECT_FALSE(allows({"8080"}, "192.0.2.1", 8080));
}

TEST(ListenRules, AddressesHaveToBeNamed) {
  EXPECT_TRUE(allows({"192.0.2.1:8080"}, "192.0.2.1", 8080));
  EXPECT_FALSE(allows({"192.0.2.1:8080"}, "192.0.2.2", 8080));
  EXPECT_FALSE(allows({"192.0.2.1:8080"}, "127.0.0.1", 8080));
  EXPECT_TRUE(allows({"0.0.0.0:8080"}, "0.0.0.0", 8080));
  EXPECT_TRUE(allows({"0.0.0.0:8080"}, "192.0.2.2", 8080));
  EXPECT_FALSE(allows({"0.0.0.0:8080"}, "::", 8080));
  EXPECT_TRUE(allows({"[::]:8080"}, "2001:db8::1", 8080));
}

TEST(ListenRules, PortsBelow1024HaveToBeNamedAlone) {
  EXPECT_FALSE(allows({"1-65535"}, "127.0.0.1", 80));
  EXPECT_TRUE(allows({"1-65535"}, "127.0.0.1", 1024));
  EXPECT_TRUE(allows({"80"}, "127.0.0.1", 80));
}

TEST(ListenRules, CandidatesForAnyFreePortAreBounded) {
  const ListenRules rules({parse_listen_rule("1-65535").value(), parse_listen_rule("192.0.2.1:5").value()});
  const auto some = rules.candidates(parse_ip_address("127.0.0.1").value(), 3);
  EXPECT_EQ(some, (std::vector<std::uint16_t>{1024, 1025, 1026}));
}

TEST(ListenRules, WhatIsNone) {
  for (const char* text : {"", "0", "65536", "-", "80-", "-80", "9-8", "a", "name:80", "::1:80", "[::1]",
                           "[1.2.3.4]:80", "1.2.3.4", "1.2.3.4:", ":80", "80 ", "8080-8081-8082"}) {
    EXPECT_FALSE(parse_listen_rule(text)) << text;
  }
}

}  // namespace
}  // namespace zks::exit
