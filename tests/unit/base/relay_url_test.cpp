// SPDX-License-Identifier: MIT
#include "base/relay_url.hpp"

#include <gtest/gtest.h>

namespace zks {
namespace {

TEST(RelayUrl, ReadsSchemeHostPortAndPrefix) {
  const auto url = parse_relay_url("wss://Relay.Example:8443/a/b/").value();
  EXPECT_EQ(url, (RelayUrl{.tls = true, .host = "relay.example", .port = 8443, .prefix = "/a/b"}));
  EXPECT_EQ(url.authority(), "relay.example:8443");
  EXPECT_EQ(url.text(), "wss://relay.example:8443/a/b");
}

TEST(RelayUrl, LeavesTheDefaultPortOutOfTheAuthority) {
  EXPECT_EQ(parse_relay_url("wss://r.example:443/").value().authority(), "r.example");
  EXPECT_EQ(parse_relay_url("ws://r.example").value().authority(), "r.example");
  EXPECT_EQ(parse_relay_url("ws://r.example").value().port, 80);
  EXPECT_EQ(parse_relay_url("ws://r.example:443").value().authority(), "r.example:443");
}

TEST(RelayUrl, SpellsIpv6InOneWay) {
  const auto url = parse_relay_url("wss://[2001:DB8:0:0::1]:444").value();
  EXPECT_EQ(url.host, "2001:db8::1");
  EXPECT_EQ(url.authority(), "[2001:db8::1]:444");
  EXPECT_EQ(parse_relay_url("wss://[::1]").value().authority(), "[::1]");
}

TEST(RelayUrl, RefusesWhatIsNoRelay) {
  const std::string long_label = "wss://" + std::string(64, 'a') + ".example";
  const std::string long_prefix = "wss://r.example/" + std::string(300, 'a');
  for (const std::string text : {"",
                                 "wss://",
                                 "ws:///",
                                 "https://r.example",
                                 "r.example",
                                 "wss://r.example:0",
                                 "wss://r.example:65536",
                                 "wss://r.example:+1",
                                 "wss://r.example:",
                                 "wss://r.example:99999999999999999999",
                                 "wss://[::1",
                                 "wss://[::g]",
                                 "wss://[::1]x",
                                 "wss://[::1%25lo]",
                                 "wss://::1",
                                 "wss://user@r.example",
                                 "wss://r.example/?a",
                                 "wss://r.example/#a",
                                 "wss://r.example//a",
                                 "wss://r.example/../a",
                                 "wss://r.example/%2e",
                                 "wss://r ex",
                                 "wss://-r.example",
                                 "wss://r..example",
                                 "wss://127.1",
                                 "wss://256.1.1.1",
                                 "wss://1",
                                 "wss://r\n.example"}) {
    const auto url = parse_relay_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().kind, ErrorKind::kUsage);
    EXPECT_FALSE(url.error().text.empty());
  }
  EXPECT_FALSE(parse_relay_url(long_label));
  EXPECT_FALSE(parse_relay_url(long_prefix));
}

TEST(RelayUrl, EveryCutEitherFailsOrReadsTheSameAgain) {
  const std::string text = "wss://relay.example:8443/a/b";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const auto url = parse_relay_url(text.substr(0, size));
    if (!url) continue;
    EXPECT_EQ(parse_relay_url(url->text()).value(), *url);
  }
}

TEST(HostPort, ReadsListenAddresses) {
  EXPECT_EQ(parse_host_port("127.0.0.1:0", 1).value(), (HostPort{"127.0.0.1", 0}));
  EXPECT_EQ(parse_host_port("[::]:443", 1).value(), (HostPort{"::", 443}));
  EXPECT_EQ(parse_host_port("[::1]", 7).value(), (HostPort{"::1", 7}));
  EXPECT_EQ(parse_host_port("relay.example", 7).value(), (HostPort{"relay.example", 7}));
  EXPECT_FALSE(parse_host_port(":443", 1));
  EXPECT_FALSE(parse_host_port("::1", 1));
  EXPECT_EQ(format_host_port("::1", 80), "[::1]:80");
  EXPECT_EQ(format_host_port("a.example", 80), "a.example:80");
}

}  // namespace
}  // namespace zks
