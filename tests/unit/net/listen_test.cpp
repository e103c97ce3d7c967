// SPDX-License-Identifier: MIT
//
// What options of listening name, and which family a socket takes.
#include "net/listen.hpp"

#include <cerrno>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <gtest/gtest.h>

namespace zks::net {
namespace {

using asio::ip::tcp;

tcp::endpoint at(const char* address, std::uint16_t port) {
  return {asio::ip::make_address(address), port};
}

std::string parsed(std::string_view text) {
  const auto endpoints = parse_listen(text, 443);
  return endpoints ? listen_text(*endpoints) : "refused";
}

TEST(ListenTest, AnOptionNamesOneAddressOrOneOfEachFamily) {
  EXPECT_EQ(parsed("192.0.2.1"), "192.0.2.1:443");
  EXPECT_EQ(parsed("192.0.2.1:80"), "192.0.2.1:80");
  EXPECT_EQ(parsed("[::]:80"), "[::]:80");
  EXPECT_EQ(parsed("localhost:80"), "127.0.0.1:80, [::1]:80");
  EXPECT_EQ(parsed("LOCALHOST"), "127.0.0.1:443, [::1]:443");
  EXPECT_EQ(parsed("*:80"), "0.0.0.0:80, [::]:80");
  EXPECT_EQ(parsed("*"), "0.0.0.0:443, [::]:443");
  for (const char* wrong :
       {"", "*80", "**:80", "relay.example:80", "127.0.0.1:x", "*:65536", "localhost.:80"}) {
    EXPECT_EQ(parsed(wrong), "refused") << wrong;
  }
}

TEST(ListenTest, AnIpv6SocketLeavesIpv4ToWhoeverIsAskedForItsPort) {
  const Endpoints all{at("::", 443),  at("0.0.0.0", 443), at("::", 80),    at("127.0.0.1", 8080),
                      at("::", 8080), at("::", 0),        at("0.0.0.0", 0)};
  EXPECT_TRUE(is_ipv6_only(all[0], all));
  EXPECT_FALSE(is_ipv6_only(all[1], all));
  EXPECT_FALSE(is_ipv6_only(all[2], all)) << "nobody else has that port";
  EXPECT_TRUE(is_ipv6_only(all[4], all)) << "any IPv4 address of it";
  EXPECT_FALSE(is_ipv6_only(all[5], all)) << "each gets another free port";
}

class ListenOnAllTest : public testing::Test {
 protected:
  bool is_only(tcp::acceptor& acceptor) {
    asio::ip::v6_only only;
    acceptor.get_option(only);
    return only.value();
  }
  bool connects(const char* address, std::uint16_t port) {
    tcp::socket socket(io_);
    boost::system::error_code ec;
    socket.connect(at(address, port), ec);
    return !ec;
  }

  asio::io_context io_;
};

TEST_F(ListenOnAllTest, BothFamiliesInEitherOrderAtOneFreePort) {
  for (const auto& [first, second] : {std::pair("0.0.0.0", "::"), std::pair("::", "0.0.0.0")}) {
    auto made = listen_on_all(io_.get_executor(), {at("127.0.0.1", 0), at("::1", 0)}, {});
    ASSERT_TRUE(made) << made.error().text;
    ASSERT_EQ(made->size(), 2U);
    const std::uint16_t port = (*made)[0].local_endpoint().port();
    EXPECT_EQ((*made)[1].local_endpoint().port(), port);
    made->clear();
    auto fixed = listen_on_all(io_.get_executor(), {at(first, port), at(second, port)}, {});
    ASSERT_TRUE(fixed) << first << " first: " << fixed.error().text;
    EXPECT_TRUE(connects("127.0.0.1", port));
    EXPECT_TRUE(connects("::1", port));
  }
  auto any = listen_on_all(io_.get_executor(), {at("0.0.0.0", 0), at("::", 0)}, {});
  ASSERT_TRUE(any) << any.error().text;
  EXPECT_EQ((*any)[0].local_endpoint().port(), (*any)[1].local_endpoint().port());
}

TEST_F(ListenOnAllTest, AloneAnIpv6SocketTakesIpv4Too) {
  auto made = listen_on_all(io_.get_executor(), {at("::", 0)}, {at("0.0.0.0", 0)});
  ASSERT_TRUE(made);
  EXPECT_FALSE(is_only(made->front()));
  EXPECT_TRUE(connects("127.0.0.1", made->front().local_endpoint().port()));
}

TEST_F(ListenOnAllTest, WhatElseTheProgramListensOnCounts) {
  tcp::acceptor probe(io_, at("127.0.0.1", 0));
  const std::uint16_t port = probe.local_endpoint().port();
  auto made = listen_on_all(io_.get_executor(), {at("::", port)}, {at("127.0.0.1", port)});
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_TRUE(is_only(made->front()));
}

TEST_F(ListenOnAllTest, AnAddressThatSomebodyHasIsAnErrorWithItsName) {
  tcp::acceptor taken(io_, at("127.0.0.1", 0));
  const std::uint16_t port = taken.local_endpoint().port();
  const auto made = listen_on_all(io_.get_executor(), {at("127.0.0.1", port), at("::1", port)}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().detail, EADDRINUSE);
  EXPECT_NE(made.error().text.find("127.0.0.1:" + std::to_string(port)), std::string::npos);
}

TEST_F(ListenOnAllTest, OnlyCommonIpv6AddressesAreLeftOutWhereThereIsNoIpv6) {
  for (const Endpoints& addresses :
       {Endpoints{at("192.0.2.1", 0)}, Endpoints{at("127.0.0.1", 0), at("2001:db8::1", 0)}}) {
    const auto made = listen_on_all(io_.get_executor(), addresses, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().detail, EADDRNOTAVAIL);
  }
  const Error missing = make_error(ErrorKind::kIo, "", EAFNOSUPPORT);
  EXPECT_TRUE(may_be_left_out(at("::", 1), true, missing));
  EXPECT_TRUE(may_be_left_out(at("::1", 1), true, missing));
  EXPECT_FALSE(may_be_left_out(at("::1", 1), false, missing)) << "nothing would be left";
  EXPECT_FALSE(may_be_left_out(at("::1", 1), true, make_error(ErrorKind::kIo, "", EADDRINUSE)));
}

}  // namespace
}  // namespace zks::net
