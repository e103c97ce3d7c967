// SPDX-License-Identifier: MIT
#include "frontdoor/forward_spec.hpp"

#include <gtest/gtest.h>

namespace zks::frontdoor {
namespace {

std::string local(std::string_view text) {
  const auto spec = parse_local_forward(text);
  return spec ? to_text(*spec) : "error: " + spec.error().text;
}
std::string remote(std::string_view text) {
  const auto spec = parse_remote_forward(text);
  return spec ? to_text(*spec) : "error: " + spec.error().text;
}

TEST(ForwardSpec, TheFormsOfLocalForwards) {
  EXPECT_EQ(local("8080:example.org:80"), "127.0.0.1:8080:example.org:80");
  EXPECT_EQ(local("8080:EXAMPLE.org:80/tcp"), "127.0.0.1:8080:example.org:80");
  EXPECT_EQ(local("localhost:0:192.0.2.1:22"), "localhost:0:192.0.2.1:22");
  EXPECT_EQ(local("*:80:a:1"), "*:80:a:1");
  EXPECT_EQ(local("[::1]:8080:[2001:db8::1]:443"), "[::1]:8080:[2001:db8::1]:443");
  EXPECT_EQ(local("8080:[::1]:443"), "127.0.0.1:8080:[::1]:443");
  EXPECT_EQ(local("/run/a:b.sock:db.example:5432"), "/run/a:b.sock:db.example:5432");
  EXPECT_EQ(local("/run/a.sock:[2001:db8::1]:5432"), "/run/a.sock:[2001:db8::1]:5432");
}

TEST(ForwardSpec, ANameOfBothFamiliesIsListenedOnInBothByLocalForwards) {
  const auto also = [](const char* text) {
    const auto spec = parse_local_forward(text).value();
    return spec.listen.also ? session::to_text(*spec.listen.also) : "none";
  };
  EXPECT_EQ(also("localhost:8080:a:80"), "[::1]:8080");
  EXPECT_EQ(also("*:53:a:53/udp"), "[::]:53");
  for (const char* one : {"8080:a:80", "127.0.0.1:8080:a:80", "[::]:8080:a:80", "/run/x:a:80"}) {
    EXPECT_EQ(also(one), "none") << one;
  }
  EXPECT_FALSE(parse_remote_forward("localhost:8080:a:80")->listen.also)
      << "the exit is asked for one address";
}

TEST(ForwardSpec, WhatANumberMayStandForIsForTheExitToJudge) {
  EXPECT_EQ(local("1:0x7f.1:80"), "127.0.0.1:1:0x7f.1:80");
  EXPECT_EQ(local("1:2130706433:80"), "127.0.0.1:1:2130706433:80");
}

TEST(ForwardSpec, TheFormsOfRemoteForwards) {
  EXPECT_EQ(remote("8080:127.0.0.1:3000"), "127.0.0.1:8080:127.0.0.1:3000");
  EXPECT_EQ(remote("0.0.0.0:8080:localhost:3000"), "0.0.0.0:8080:localhost:3000");
  EXPECT_EQ(remote("0:/run/with:colons/udp"), "127.0.0.1:0:/run/with:colons/udp");
  EXPECT_EQ(remote("[::]:8080:/run/x"), "[::]:8080:/run/x");
}

TEST(ForwardSpec, WhatIsNone) {
  for (const char* text : {"",           ":",          "::",         "8080",         "8080:",
                           "8080:a",     "8080:a:",    "8080:a:0",   "8080:a:65536", "65536:a:1",
                           "-1:a:1",     "name:1:a:1", "::1:80:a:1", "[::1:80:a:1",  "[127.0.0.1]:80:a:1",
                           "1:[::1:80",  "1:::1:80",   "1:a b:80",   "1:a:80/sctp",  "/",
                           "/:a:1",      "/run/x",     "/run/x:80",  "/run/x:",      "1.2.3:1:a:1",
                           "1:a:1:2:3:4"}) {
    EXPECT_FALSE(parse_local_forward(text)) << text;
  }
  EXPECT_FALSE(parse_local_forward("/" + std::string(107, 'x') + ":a:1")) << "a byte too long for a socket";
  EXPECT_TRUE(parse_local_forward("/" + std::string(106, 'x') + ":a:1"));
  EXPECT_FALSE(parse_remote_forward(std::string("1:/a\0b", 6)));
}

TEST(ForwardSpec, UnixSocketsAreAtThisEnd) {
  EXPECT_EQ(local("8080:/run/x"), "error: a unix socket at the exit can't be reached, only HOST:PORT");
  EXPECT_EQ(remote("/run/x:a:1"), "error: the exit does not listen on unix sockets, only on PORT");
}

TEST(ForwardSpec, UdpIsSaidBehindIt) {
  EXPECT_EQ(local("53:a:53/udp"), "127.0.0.1:53:a:53/udp");
  EXPECT_EQ(remote("[::]:53:[::1]:53/udp"), "[::]:53:[::1]:53/udp");
  EXPECT_EQ(parse_local_forward("53:a:53/udp")->kind, session::ListenKind::kUdp);
  EXPECT_EQ(parse_local_forward("53:a:53/tcp")->kind, session::ListenKind::kTcp);
  EXPECT_FALSE(parse_local_forward("53:a:53/UDP"));
  EXPECT_FALSE(parse_local_forward("53:a:53/udp/udp"));
  EXPECT_EQ(local("/run/x:a:53/udp"), "error: unix sockets are forwarded as streams only, without /udp");
}

TEST(ForwardSpec, CutAtEveryLengthIsRefusedOrStillAForward) {
  const std::string whole = "[2001:db8::1]:8080:[2001:db8::2]:443";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto spec = parse_local_forward(std::string_view(whole).substr(0, length));
    EXPECT_EQ(spec.has_value(), length > whole.size() - 3) << length;
  }
}

TEST(ForwardSpec, WhoCanReachIt) {
  EXPECT_FALSE(is_open_to_others(parse_local_forward("1:a:1")->listen));
  EXPECT_FALSE(is_open_to_others(parse_local_forward("[::1]:1:a:1")->listen));
  EXPECT_FALSE(is_open_to_others(parse_local_forward("/run/x:a:1")->listen));
  EXPECT_TRUE(is_open_to_others(parse_local_forward("*:1:a:1")->listen));
  EXPECT_TRUE(is_open_to_others(parse_local_forward("[::]:1:a:1")->listen));
}

}  // namespace
}  // namespace zks::frontdoor
