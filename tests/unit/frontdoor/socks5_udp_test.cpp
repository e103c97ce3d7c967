// SPDX-License-Identifier: MIT
#include "frontdoor/socks5_udp.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace zks::frontdoor {
namespace {

using session::Destination;

Bytes hex(std::string_view text) {
  return from_hex(text).value();
}

struct Example {
  const char* name;
  std::size_t header_bytes;
  const char* hex;
};

const std::vector<Example>& examples() {
  static const std::vector<Example> all = {
      {"ipv4", 10, "00000001c00002010035616263"},
      {"ipv6", 22, "0000000420010db80000000000000000000000010035616263"},
      {"name", 18, "000000030b6578616d706c652e6f72670035616263"},
  };
  return all;
}

TEST(Socks5Udp, TheThreeKindsOfAddress) {
  for (const Example& example : examples()) {
    const Bytes received = hex(example.hex);
    const auto parsed = parse_socks5_datagram(received);
    ASSERT_TRUE(parsed) << example.name;
    EXPECT_EQ(parsed->address.port, 53) << example.name;
    EXPECT_EQ(as_text(parsed->bytes), "abc") << example.name;
  }
  EXPECT_EQ(parse_socks5_datagram(hex(examples()[2].hex))->address.name, "example.org");
}

// Cut within the header it is dropped; after it, it is a shorter datagram.
TEST(Socks5Udp, CutAtEveryLength) {
  for (const Example& example : examples()) {
    const Bytes received = hex(example.hex);
    for (std::size_t size = 0; size <= received.size(); ++size) {
      const Bytes cut(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(size));
      const auto parsed = parse_socks5_datagram(cut);
      ASSERT_EQ(parsed.has_value(), size >= example.header_bytes) << example.name << " cut at " << size;
      EXPECT_EQ(parsed ? parsed->bytes.size() : 0, size - std::min(size, example.header_bytes));
    }
  }
}

TEST(Socks5Udp, EveryFragmentIsDropped) {
  for (int fragment = 1; fragment < 256; ++fragment) {
    Bytes received = hex(examples()[0].hex);
    received[2] = static_cast<std::uint8_t>(fragment);
    EXPECT_FALSE(parse_socks5_datagram(received)) << fragment;
  }
}

TEST(Socks5Udp, WhatIsDroppedToo) {
  EXPECT_FALSE(parse_socks5_datagram(hex("00000001c00002010000616263"))) << "port 0";
  EXPECT_FALSE(parse_socks5_datagram(hex("00000002c00002010035616263"))) << "type 2";
  EXPECT_FALSE(parse_socks5_datagram(hex("00000003000035616263"))) << "no name";
  EXPECT_FALSE(parse_socks5_datagram(hex("00000003036100620035616263"))) << "NUL in a name";
}

TEST(Socks5Udp, HeadersOfAnswers) {
  Destination source;
  source.kind = Destination::Kind::kIpv4;
  source.address = {192, 0, 2, 1};
  source.port = 53;
  Bytes buffer(kMaxSocks5UdpHeader);
  ByteWriter out(buffer);
  ASSERT_TRUE(write_socks5_udp_header(out, source));
  EXPECT_EQ(to_hex(ByteView(buffer).first(out.written())), "00000001c00002010035");
  source.kind = Destination::Kind::kIpv6;
  source.address = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  ByteWriter six(buffer);
  ASSERT_TRUE(write_socks5_udp_header(six, source));
  EXPECT_EQ(to_hex(ByteView(buffer).first(six.written())), "0000000420010db80000000000000000000000010035");
  for (std::size_t room = 0; room < six.written(); ++room) {
    Bytes small(room);
    ByteWriter short_of(small);
    EXPECT_FALSE(write_socks5_udp_header(short_of, source));
    EXPECT_EQ(short_of.written(), 0U);
  }
  source.kind = Destination::Kind::kName;
  ByteWriter name(buffer);
  EXPECT_FALSE(write_socks5_udp_header(name, source)) << "answers come from addresses";
}

}  // namespace
}  // namespace zks::frontdoor
