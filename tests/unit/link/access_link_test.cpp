// SPDX-License-Identifier: MIT
//
// Access links: a golden one computed by hand from the format, every damage to it, and the shapes of the
// place.
#include "link/access_link.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zks::link {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kRoom = "aaaqeayeaudaocajbifqydiob4ibceqt";  // bytes 0 to 19
// version 1, exit key 32 x 0x11, invite 8 x 0x22, psk 32 x 0x33, checksum: from Python's hashlib and base64.
constexpr const char* kKey =
    "ARERERERERERERERERERERERERERERERERERERERERERIiIiIiIiIiIzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMz_qhTk";
constexpr const char* kPin = "REREREREREREREREREREREREREREREREREREREREREQ";  // 32 x 0x44

AccessLink sample() {
  AccessLink link;
  link.relays.push_back(RelayUrl{.tls = true, .host = "relay.example", .port = 443, .prefix = ""});
  for (std::size_t i = 0; i < link.room.size(); ++i) link.room[i] = static_cast<std::uint8_t>(i);
  link.exit_public_key.fill(0x11);
  link.invite.fill(0x22);
  std::fill_n(link.psk.data(), Key::kSize, std::uint8_t{0x33});
  return link;
}

std::string golden() {
  return std::string("zks://relay.example/") + kRoom + "#" + kKey;
}

std::string with_place(const std::string& place) {
  return place + "#" + kKey;
}

std::string error_of(const std::string& text) {
  const auto link = parse_access_link(text);
  if (link) return "accepted";
  EXPECT_EQ(link.error().kind, ErrorKind::kUsage);
  return link.error().text;
}

void expect_equal(const AccessLink& a, const AccessLink& b) {
  EXPECT_EQ(a.relays, b.relays);
  EXPECT_EQ(a.room, b.room);
  EXPECT_EQ(a.pin, b.pin);
  EXPECT_EQ(a.exit_public_key, b.exit_public_key);
  EXPECT_EQ(a.invite, b.invite);
  EXPECT_TRUE(a.psk.equals(b.psk.view()));
}

TEST(AccessLink, FormatsTheGoldenLink) {
  EXPECT_EQ(format_access_link(sample()), golden());
}

TEST(AccessLink, ParsesTheGoldenLink) {
  const auto link = parse_access_link(golden());
  ASSERT_TRUE(link) << link.error().text;
  expect_equal(*link, sample());
}

TEST(AccessLink, CutAtEveryLengthIsRefusedWithoutItsSecret) {
  const std::string whole = golden();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string error = error_of(whole.substr(0, size));
    EXPECT_NE(error, "accepted") << size;
    EXPECT_THAT(error, Not(HasSubstr(std::string(kKey).substr(0, 12))));
  }
}

TEST(AccessLink, EveryByteChangedNeverGivesAnotherKey) {
  const std::string whole = golden();
  const AccessLink right = sample();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      if (static_cast<unsigned char>(changed[i]) == value) continue;
      changed[i] = static_cast<char>(value);
      const auto link = parse_access_link(changed);
      if (i > whole.find('#')) {
        EXPECT_FALSE(link) << "byte " << i << " as " << value;
      } else if (link) {  // another host or room, but still this key
        EXPECT_EQ(link->exit_public_key, right.exit_public_key);
        EXPECT_EQ(link->invite, right.invite);
        EXPECT_TRUE(link->psk.equals(right.psk.view()));
      }
      if (!link) {
        EXPECT_THAT(link.error().text, Not(HasSubstr(std::string(kKey).substr(60, 12))));
      }
    }
  }
}

TEST(AccessLink, SeveralHostsPortsPrefixAndPin) {
  AccessLink link = sample();
  link.relays = {RelayUrl{.tls = true, .host = "a.example", .port = 8443, .prefix = "/x/y"},
                 RelayUrl{.tls = true, .host = "192.0.2.7", .port = 443, .prefix = "/x/y"},
                 RelayUrl{.tls = true, .host = "2001:db8::1", .port = 443, .prefix = "/x/y"},
                 RelayUrl{.tls = true, .host = "2001:db8::2", .port = 444, .prefix = "/x/y"}};
  link.pin.emplace();
  link.pin->fill(0x44);
  const std::string text = format_access_link(link);
  EXPECT_THAT(text,
              testing::StartsWith("zks://a.example:8443,192.0.2.7,[2001:db8::1],[2001:db8::2]:444/x/y/" +
                                  std::string(kRoom) + "?pin=" + kPin + "#"));
  const auto parsed = parse_access_link(text);
  ASSERT_TRUE(parsed) << parsed.error().text;
  expect_equal(*parsed, link);
}

TEST(AccessLink, PlaintextScheme) {
  const auto link = parse_access_link(with_place(std::string("zks+ws://127.0.0.1:8080/") + kRoom));
  ASSERT_TRUE(link) << link.error().text;
  EXPECT_EQ(link->relays.front(), (RelayUrl{.tls = false, .host = "127.0.0.1", .port = 8080, .prefix = ""}));
  EXPECT_EQ(format_access_link(*link), with_place(std::string("zks+ws://127.0.0.1:8080/") + kRoom));
}

TEST(AccessLink, EightRelaysAndNoMore) {
  std::string hosts = "r0.example";
  for (int i = 1; i < 8; ++i) hosts += ",r" + std::to_string(i) + ".example";
  const auto link = parse_access_link(with_place("zks://" + hosts + "/" + kRoom));
  ASSERT_TRUE(link) << link.error().text;
  EXPECT_EQ(link->relays.size(), kMaxRelays);
  EXPECT_THAT(error_of(with_place("zks://" + hosts + ",r8.example/" + kRoom)), HasSubstr("more than 8"));
}

TEST(AccessLink, SaysWhichPartIsWrong) {
  const std::string room = kRoom;
  EXPECT_THAT(error_of("https://relay.example/"), HasSubstr("zks://"));
  EXPECT_THAT(error_of("zks://relay.example/" + room), HasSubstr("'#'"));
  EXPECT_THAT(error_of(with_place("zks://relay.example")), HasSubstr("room is missing"));
  EXPECT_THAT(error_of(with_place("zks://relay.example/short")), HasSubstr("room is not"));
  EXPECT_THAT(error_of(with_place("zks://relay.example//" + room)), HasSubstr("path"));
  EXPECT_THAT(error_of(with_place("zks://relay.example/x//" + room)), HasSubstr("path"));
  EXPECT_THAT(error_of(with_place("zks:///" + room)), HasSubstr("host"));
  EXPECT_THAT(error_of(with_place("zks://a.example,/" + room)), HasSubstr("host"));
  EXPECT_THAT(error_of(with_place("zks://a.example:99999/" + room)), HasSubstr("port"));
  EXPECT_THAT(error_of(with_place("zks://user@a.example/" + room)), HasSubstr("user"));
  EXPECT_THAT(error_of(with_place("zks://a.example/" + room + "?pin=short")), HasSubstr("pin"));
  EXPECT_THAT(error_of(with_place("zks://a.example/" + room + "?other=1")), HasSubstr("?pin="));
  EXPECT_THAT(error_of("zks://a.example/" + room + "#"), HasSubstr("incomplete"));
  EXPECT_THAT(error_of(golden() + "A"), HasSubstr("incomplete"));
  EXPECT_THAT(error_of(golden() + std::string(kMaxLinkBytes, 'A')), HasSubstr("longer"));
}

TEST(AccessLink, AnotherVersionIsNamedAsSuch) {
  std::string text = golden();
  text[text.find('#') + 1] = 'B';  // the first six bits: version 4 and up
  EXPECT_THAT(error_of(text), HasSubstr("version"));
}

}  // namespace
}  // namespace zks::link
