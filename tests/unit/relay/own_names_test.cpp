// SPDX-License-Identifier: MIT
#include "relay/own_names.hpp"

#include <gtest/gtest.h>

#include "../carrier/certificate.hpp"

namespace zks::relay {
namespace {

using boost::asio::ip::make_address;

TEST(OwnNames, TheAddressThatTheSocketCameInOnIsOurs) {
  EXPECT_TRUE(is_own_name("192.0.2.1:8443", {}, make_address("192.0.2.1"), nullptr));
  EXPECT_TRUE(is_own_name("[2001:db8::1]", {}, make_address("2001:db8::1"), nullptr));
  EXPECT_TRUE(is_own_name("localhost:80", {}, make_address("127.0.0.1"), nullptr));
  EXPECT_FALSE(is_own_name("localhost", {}, make_address("192.0.2.1"), nullptr));
  EXPECT_FALSE(is_own_name("192.0.2.2", {}, make_address("192.0.2.1"), nullptr));
}

TEST(OwnNames, ConfiguredNamesCountInAnyCaseAndWithAnyPort) {
  const std::vector<std::string> names = {"Relay.example", "198.51.100.7"};
  EXPECT_TRUE(is_own_name("relay.EXAMPLE:9000", names, make_address("127.0.0.1"), nullptr));
  EXPECT_TRUE(is_own_name("198.51.100.7", names, make_address("10.0.0.2"), nullptr));
  EXPECT_FALSE(is_own_name("evil.example", names, make_address("127.0.0.1"), nullptr));
  EXPECT_FALSE(is_own_name("relay.example.evil.example", names, make_address("127.0.0.1"), nullptr));
}

TEST(OwnNames, NamesAndAddressesOfTheCertificateCount) {
  const auto certificate = test::make_certificate("DNS:relay.example,DNS:*.cdn.example,IP:203.0.113.5");
  const auto own = [&](std::string_view authority) {
    return is_own_name(authority, {}, make_address("10.0.0.2"), certificate.x509.get());
  };
  EXPECT_TRUE(own("relay.example"));
  EXPECT_TRUE(own("a.cdn.example:8443"));
  EXPECT_TRUE(own("203.0.113.5:8443"));
  EXPECT_FALSE(own("other.example"));
  EXPECT_FALSE(own("a.b.cdn.example"));
  EXPECT_FALSE(own("203.0.113.6"));
}

TEST(OwnNames, WhatIsNoAuthorityIsNobodys) {
  for (const char* authority : {"", ":", "relay.example:99999", "[::1", "a b"}) {
    EXPECT_FALSE(is_own_name(authority, {"relay.example"}, make_address("127.0.0.1"), nullptr)) << authority;
  }
}

}  // namespace
}  // namespace zks::relay
