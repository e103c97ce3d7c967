// SPDX-License-Identifier: MIT
#include "relay/client_address.hpp"

#include <gtest/gtest.h>

namespace zks::relay {
namespace {

boost::asio::ip::address address(const char* text) {
  return boost::asio::ip::make_address(text);
}
Network network(const char* text) {
  return Network::parse(text).value();
}

TEST(Network, ContainsWhatSharesItsPrefix) {
  EXPECT_TRUE(network("10.0.0.0/8").contains(address("10.255.0.1")));
  EXPECT_FALSE(network("10.0.0.0/8").contains(address("11.0.0.1")));
  EXPECT_TRUE(network("10.0.0.0/8").contains(address("::ffff:10.0.0.1")));
  EXPECT_TRUE(network("192.0.2.128/25").contains(address("192.0.2.200")));
  EXPECT_FALSE(network("192.0.2.128/25").contains(address("192.0.2.127")));
  EXPECT_TRUE(network("192.0.2.7").contains(address("192.0.2.7")));
  EXPECT_FALSE(network("192.0.2.7").contains(address("192.0.2.6")));
  EXPECT_TRUE(network("0.0.0.0/0").contains(address("203.0.113.1")));
  EXPECT_FALSE(network("0.0.0.0/0").contains(address("2001:db8::1")));
  EXPECT_TRUE(network("::/0").contains(address("2001:db8::1")));
  EXPECT_TRUE(network("2001:db8::/33").contains(address("2001:db8:7fff::1")));
  EXPECT_FALSE(network("2001:db8::/33").contains(address("2001:db8:8000::1")));
}

TEST(Network, RefusesWhatIsNone) {
  for (const char* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10/8", "::/129", "a"}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
}

class ClientAddressTest : public testing::Test {
 protected:
  std::string find(const char* peer, const std::vector<std::string_view>& forwarded) {
    return client_address(address(peer), trusted_, forwarded).to_string();
  }
  std::vector<Network> trusted_ = {network("10.0.0.0/8"), network("2001:db8::/32")};
};

TEST_F(ClientAddressTest, AnUntrustedPeerSpeaksForItself) {
  EXPECT_EQ(find("192.0.2.1", {"198.51.100.1"}), "192.0.2.1");
  EXPECT_EQ(find("192.0.2.1", {}), "192.0.2.1");
}

TEST_F(ClientAddressTest, TheLastUntrustedEntryCounts) {
  EXPECT_EQ(find("10.0.0.1", {"198.51.100.1"}), "198.51.100.1");
  EXPECT_EQ(find("10.0.0.1", {"203.0.113.1, 198.51.100.1, 10.0.0.2"}), "198.51.100.1");
  EXPECT_EQ(find("10.0.0.1", {"203.0.113.1", "198.51.100.1", "2001:db8::2, 10.9.9.9"}), "198.51.100.1");
}

TEST_F(ClientAddressTest, ProxiesSpellAddressesInManyWays) {
  EXPECT_EQ(find("10.0.0.1", {"198.51.100.1:4711"}), "198.51.100.1");
  EXPECT_EQ(find("10.0.0.1", {" \t198.51.100.1 "}), "198.51.100.1");
  EXPECT_EQ(find("10.0.0.1", {"[fd00::1]:4711"}), "fd00::1");
  EXPECT_EQ(find("10.0.0.1", {"[fd00::1]"}), "fd00::1");
  EXPECT_EQ(find("10.0.0.1", {"fd00::1"}), "fd00::1");
}

TEST_F(ClientAddressTest, WhatCantBeReadEndsTheSearch) {
  EXPECT_EQ(find("10.0.0.1", {"198.51.100.1, unknown, 10.0.0.2"}), "10.0.0.2");
  for (const char* text : {"", ",", "[", "]", "[]", ":", "a:1", "999.1.1.1", "\x01", "[fd00::1"}) {
    EXPECT_FALSE(find("10.0.0.1", {text}).empty());
  }
  EXPECT_EQ(find("10.0.0.1", {""}), "10.0.0.1");
}

TEST_F(ClientAddressTest, OnlyTrustedEntriesLeaveTheFirst) {
  EXPECT_EQ(find("10.0.0.1", {"10.0.0.3, 10.0.0.2"}), "10.0.0.3");
}

}  // namespace
}  // namespace zks::relay
