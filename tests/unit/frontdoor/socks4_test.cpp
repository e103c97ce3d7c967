// SPDX-License-Identifier: MIT
//
// SOCKS4 and SOCKS4a: golden bytes, cut at every length, every byte changed, bounds.
#include "frontdoor/socks4.hpp"

#include <gtest/gtest.h>

namespace zks::frontdoor {
namespace {

using session::Destination;
using Step = Socks4Request::Step;

const Bytes kAddress{4, 1, 0, 80, 192, 0, 2, 7, 'm', 'e', 0};
const Bytes kName{4, 1, 0x1f, 0x90, 0, 0, 0, 9, 0, 'a', '.', 't', 'e', 's', 't', 0};

Bytes with(Bytes bytes, std::size_t more) {
  bytes.insert(bytes.end(), more, 'x');
  return bytes;
}

TEST(Socks4Test, Address) {
  const Socks4Request out = parse_socks4(with(kAddress, 3));
  EXPECT_EQ(out.step, Step::kRequest);
  EXPECT_EQ(out.taken, kAddress.size());
  EXPECT_EQ(session::to_text(out.destination), "192.0.2.7:80");
}

TEST(Socks4Test, Name) {
  const Socks4Request out = parse_socks4(with(kName, 3));
  EXPECT_EQ(out.step, Step::kRequest);
  EXPECT_EQ(out.taken, kName.size());
  EXPECT_EQ(out.destination.kind, Destination::Kind::kName);
  EXPECT_EQ(session::to_text(out.destination), "a.test:8080");
}

TEST(Socks4Test, ZeroesAreAnAddress) {
  const Bytes bytes{4, 1, 0, 80, 0, 0, 0, 0, 0};
  EXPECT_EQ(session::to_text(parse_socks4(bytes).destination), "0.0.0.0:80");
}

TEST(Socks4Test, CutAtEveryLength) {
  for (const Bytes& whole : {kAddress, kName}) {
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_EQ(parse_socks4(ByteView(whole).first(size)).step, Step::kMore) << size;
  }
}

TEST(Socks4Test, EveryByteChanged) {
  for (std::size_t at = 0; at < kName.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      Bytes changed = kName;
      changed[at] = static_cast<std::uint8_t>(value);
      const Socks4Request out = parse_socks4(changed);
      EXPECT_EQ(out.step == Step::kRefused, (at < 2 && value != kName[at]) || (at == 9 && value == 0))
          << at << " " << value;
      EXPECT_LE(out.taken, changed.size());
    }
  }
}

TEST(Socks4Test, TextsAreBounded) {
  Bytes bytes{4, 1, 0, 80, 0, 0, 0, 1};
  bytes.insert(bytes.end(), 255, 'u');
  EXPECT_EQ(parse_socks4(bytes).step, Step::kMore);
  EXPECT_EQ(parse_socks4(with(bytes, 1)).step, Step::kRefused);
  bytes.push_back(0);
  bytes.insert(bytes.end(), 255, 'n');
  EXPECT_EQ(parse_socks4(bytes).step, Step::kMore);
  EXPECT_EQ(parse_socks4(with(bytes, 1)).step, Step::kRefused);
  bytes.push_back(0);
  EXPECT_EQ(bytes.size(), kMaxSocks4Bytes);
  EXPECT_EQ(parse_socks4(bytes).destination.name, std::string(255, 'n'));
}

TEST(Socks4Test, Replies) {
  Destination bound;
  bound.kind = Destination::Kind::kIpv4;
  bound.address = {198, 51, 100, 7};
  bound.port = 0x1234;
  EXPECT_EQ(encode_socks4_reply(true, bound), (Bytes{0, 90, 0x12, 0x34, 198, 51, 100, 7}));
  bound.kind = Destination::Kind::kIpv6;
  EXPECT_EQ(encode_socks4_reply(true, bound), (Bytes{0, 90, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(encode_socks4_reply(false, {}), (Bytes{0, 91, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace zks::frontdoor
