// SPDX-License-Identifier: MIT
//
// Request targets: authority-form and absolute-form, what they stand for, and what they may not be.
#include "frontdoor/http_target.hpp"

#include <gtest/gtest.h>

namespace zks::frontdoor {
namespace {

using session::Destination;

std::string shown(std::string_view authority, std::optional<std::uint16_t> default_port = std::nullopt) {
  const auto parsed = parse_authority(authority, default_port);
  return parsed ? session::to_text(*parsed) : "";
}

HttpTarget target(std::string_view text, bool is_options = false) {
  const auto parsed = parse_absolute_target(text, is_options);
  EXPECT_TRUE(std::holds_alternative<HttpTarget>(parsed)) << text;
  return std::holds_alternative<HttpTarget>(parsed) ? std::get<HttpTarget>(parsed) : HttpTarget{};
}

TEST(HttpTargetTest, AuthoritiesOfConnect) {
  EXPECT_EQ(shown("example.org:443"), "example.org:443");
  EXPECT_EQ(shown("EXAMPLE.org:65535"), "example.org:65535");
  EXPECT_EQ(shown("192.0.2.7:1"), "192.0.2.7:1");
  EXPECT_EQ(shown("[2001:DB8::7]:443"), "[2001:db8::7]:443");
  EXPECT_EQ(shown("[::ffff:192.0.2.7]:443"), "[::ffff:192.0.2.7]:443");
  EXPECT_EQ(parse_authority("192.0.2.7:1", std::nullopt)->kind, Destination::Kind::kIpv4);
  EXPECT_EQ(parse_authority("[::1]:1", std::nullopt)->kind, Destination::Kind::kIpv6);
  EXPECT_EQ(shown(std::string(255, 'a') + ":80"), std::string(255, 'a') + ":80");
}

// What some resolvers would take for an address is a name here, and the exit's business.
TEST(HttpTargetTest, StrangeNumbersStayNames) {
  for (const char* host :
       {"0x7f.1", "2130706433", "127.1", "0177.0.0.1", "1.2.3.4.5", "a_b.test", "a.test."}) {
    const auto parsed = parse_authority(std::string(host) + ":80", std::nullopt);
    ASSERT_TRUE(parsed) << host;
    EXPECT_EQ(parsed->kind, Destination::Kind::kName);
    EXPECT_EQ(parsed->name, host);
  }
}

TEST(HttpTargetTest, RefusedAuthorities) {
  for (const char* text :
       {"",         ":80",        "host",          "host:",        "host:0",   "host:65536",   "host:100000",
        "host:8o",  "host:80:80", "host:+80",      "host: 80",     "::1:80",   "[::1]",        "[::1",
        "[]:80",    "[::1]80",    "[::1%25lo]:80", "[1.2.3.4]:80", "us er:80", "user@host:80", "host/:80",
        "ho%73t:80"}) {
    EXPECT_EQ(shown(text), "") << text;
  }
  EXPECT_EQ(shown(std::string("a\0b:80", 6)), "");
  EXPECT_EQ(shown(std::string(256, 'a') + ":80"), "");
}

TEST(HttpTargetTest, DefaultPort) {
  EXPECT_EQ(shown("host", 80), "host:80");
  EXPECT_EQ(shown("host:", 80), "host:80");
  EXPECT_EQ(shown("[::1]", 80), "[::1]:80");
}

TEST(HttpTargetTest, AbsoluteForm) {
  const HttpTarget whole = target("http://Example.org:8080/a/b?c=d/e");
  EXPECT_EQ(session::to_text(whole.destination), "example.org:8080");
  EXPECT_EQ(whole.host, "Example.org:8080");
  EXPECT_EQ(whole.path, "/a/b?c=d/e");
  EXPECT_EQ(target("HTTP://host").path, "/");
  EXPECT_EQ(target("http://host").destination.port, 80);
  EXPECT_EQ(target("http://host?q").path, "/?q");
  EXPECT_EQ(target("http://[::1]:81/x").host, "[::1]:81");
  EXPECT_EQ(target("http://host/caf\xc3\xa9").path, "/caf\xc3\xa9");
  EXPECT_EQ(target("http://host", true).path, "*");
  EXPECT_EQ(target("http://host/", true).path, "/");
  EXPECT_EQ(target("http://host/a@b:c").path, "/a@b:c");
}

TEST(HttpTargetTest, UserInformationIsApart) {
  const HttpTarget parsed = target("http://us@er:pass%20word@host:81/x@y");
  EXPECT_EQ(parsed.user_info, "us@er:pass%20word");
  EXPECT_EQ(parsed.host, "host:81");
  EXPECT_EQ(parsed.path, "/x@y");
}

TEST(HttpTargetTest, NamesInUtf8) {
  const auto destination = parse_authority("H\xc3\xb6st:80", std::nullopt);
  ASSERT_TRUE(destination);
  EXPECT_EQ(destination->name, "h\xc3\xb6st");
  EXPECT_EQ(target("http://h\xc3\xb6st/").host, "h\xc3\xb6st");
}

TEST(HttpTargetTest, RefusedTargets) {
  const auto error = [](std::string_view text) {
    const auto parsed = parse_absolute_target(text, false);
    EXPECT_TRUE(std::holds_alternative<TargetError>(parsed)) << text;
    return std::holds_alternative<TargetError>(parsed) ? std::get<TargetError>(parsed) : TargetError{};
  };
  for (const char* text :
       {"", "host", "http", "http:", "http:/host", "http:host/", "http://", "http:///path", "://host",
        "http://user@/", "http://us er@host/", "http://host/#fragment", "http://ho st/", "http://host:0/",
        "http://host:x/", "http://[::1/", "ht tp://host/"}) {
    EXPECT_EQ(error(text), TargetError::kBad) << text;
  }
  EXPECT_EQ(error(std::string_view("http://host/\0", 13)), TargetError::kBad);
  EXPECT_EQ(error("https://host/"), TargetError::kEncrypted);
  EXPECT_EQ(error("HTTPS://host/"), TargetError::kEncrypted);
  EXPECT_EQ(error("ftp://host/"), TargetError::kScheme);
}

}  // namespace
}  // namespace zks::frontdoor
