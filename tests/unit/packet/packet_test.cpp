// SPDX-License-Identifier: MIT
#include "packet/packet.hpp"

#include "packet/transport.hpp"
#include "packet_fixture.hpp"

namespace zks::packet {
namespace {

Malformed refusal(const Bytes& bytes) {
  const auto packet = parse(bytes);
  EXPECT_TRUE(packet.has_error());
  return packet ? Malformed::kNotEcho : packet.error();
}

bool within(ByteView inner, ByteView outer) {
  return inner.empty() ||
         (inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size());
}

// Whatever parses lies in the buffer, and so does what is read from it.
void expect_within(ByteView bytes) {
  const auto packet = parse(bytes);
  if (!packet) {
    EXPECT_STRNE(describe(packet.error()), "unknown");
    return;
  }
  EXPECT_TRUE(within(packet->whole, bytes));
  EXPECT_TRUE(within(packet->transport, packet->whole));
  if (packet->fragment) {
    EXPECT_TRUE(within(packet->fragment->data, packet->whole));
    EXPECT_LE(packet->fragment->header, packet->whole.size());
  }
  const auto tcp_segment = parse_tcp(*packet);
  EXPECT_TRUE(!tcp_segment || within(tcp_segment->data, packet->transport));
  const auto datagram = parse_udp(*packet);
  EXPECT_TRUE(!datagram || within(datagram->data, packet->transport));
  const auto request = parse_echo(*packet);
  EXPECT_TRUE(!request || within(request->data, packet->transport));
}

std::vector<Bytes> good_packets() {
  const Bytes data = counted(40);
  const Bytes datagram = udp(ip("2001:db8::1"), ip("2001:db8::9"), data);
  return {udp4(data),
          udp6(data),
          tcp4(0x02),
          tcp6(0x18, data),
          ping4(data),
          ping6(data),
          ipv4(data, {.options = {7, 7, 4, 0, 0, 0, 0, 0}}),
          ipv4(counted(64), {.flags = 0x2000}),
          ipv4(data, {.flags = 8}),
          ipv6(kHopByHop, extension(kDestinationOptions) + extension(kRouting) +
                              extension(kUdp, {0, 0, 0, 0, 0, 0}) + datagram),
          ipv6(kFragmentHeader, fragment_header(kUdp, 0, true, 9) + datagram),
          ipv6(kFragmentHeader, fragment_header(kUdp, 48, false, 9) + data)};
}

TEST(Packet, ReadsTheHeaderOfIpv4) {
  const Bytes bytes = udp4({1, 2, 3});
  const auto packet = parse(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->source, ip("10.0.0.1"));
  EXPECT_EQ(packet->target, ip("192.0.2.9"));
  EXPECT_EQ(packet->protocol, kUdp);
  EXPECT_EQ(packet->hop_limit, 57);
  EXPECT_TRUE(packet->may_fragment);
  EXPECT_FALSE(packet->fragment);
  EXPECT_EQ(packet->transport_at(), 20u);
  EXPECT_EQ(packet->transport.size(), 11u);
  EXPECT_FALSE(parse(ipv4({1}, {.flags = 0x4000}))->may_fragment);
}

TEST(Packet, ReadsTheHeaderOfIpv6) {
  const Bytes bytes = udp6({1, 2, 3});
  const auto packet = parse(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->source, ip("2001:db8::1"));
  EXPECT_EQ(packet->target, ip("2001:db8::9"));
  EXPECT_EQ(packet->protocol, kUdp);
  EXPECT_EQ(packet->hop_limit, 61);
  EXPECT_FALSE(packet->may_fragment);
  EXPECT_EQ(packet->transport_at(), 40u);
}

TEST(Packet, CutsWhatComesBehindIt) {
  const Bytes four = udp4({1, 2, 3}) + Bytes(7);
  const Bytes six = udp6({1, 2, 3}) + Bytes(7);
  EXPECT_EQ(parse(four)->whole.size(), four.size() - 7);
  EXPECT_EQ(parse(six)->whole.size(), six.size() - 7);
  EXPECT_EQ(parse(four)->transport.size(), 11u);
}

TEST(Packet, PassesOptionsAndRefusesSourceRoutes) {
  const Bytes bytes = ipv4({9}, {.options = {1, 148, 4, 0, 0, 1, 1, 1, 0, 255, 255, 255}});
  EXPECT_EQ(parse(bytes)->transport_at(), 32u);
  EXPECT_EQ(refusal(ipv4({9}, {.options = {131, 4, 4, 0}})), Malformed::kSourceRoute);
  EXPECT_EQ(refusal(ipv4({9}, {.options = {1, 137, 3, 4}})), Malformed::kSourceRoute);
  EXPECT_EQ(refusal(ipv4({9}, {.options = {7, 1, 0, 0}})), Malformed::kHeaderLength);
  EXPECT_EQ(refusal(ipv4({9}, {.options = {7, 5, 0, 0}})), Malformed::kHeaderLength);
  EXPECT_EQ(refusal(ipv4({9}, {.options = {1, 1, 1, 7}})), Malformed::kHeaderLength);
}

TEST(Packet, RefusesImpossibleHeaders) {
  EXPECT_EQ(refusal({}), Malformed::kCutShort);
  EXPECT_EQ(refusal(Bytes(40, 0x50)), Malformed::kVersion);
  EXPECT_EQ(refusal(Bytes(40, 0x44)), Malformed::kHeaderLength);
  EXPECT_EQ(refusal(ipv4({1, 2}, {.total = 23})), Malformed::kTotalLength);
  EXPECT_EQ(refusal(ipv4({1, 2}, {.total = 19})), Malformed::kTotalLength);
  EXPECT_EQ(parse(ipv4({1, 2}, {.total = 20}))->transport.size(), 0u);
  Bytes wrong = udp4({});
  wrong[8] ^= 1;
  EXPECT_EQ(refusal(wrong), Malformed::kHeaderChecksum);
  Bytes longer = udp6({1});
  ++longer[5];
  EXPECT_EQ(refusal(longer), Malformed::kTotalLength);
}

TEST(Packet, WalksExtensionHeaders) {
  const Bytes chain =
      extension(kRouting) + Bytes{kDestinationOptions, 0, 4, 0, 0, 0, 0, 0} + Bytes{kUdp, 1} + Bytes(14);
  const Bytes bytes = ipv6(kHopByHop, chain + udp(ip("2001:db8::1"), ip("2001:db8::9"), {5}));
  const auto packet = parse(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->protocol, kUdp);
  EXPECT_EQ(packet->transport_at(), 40u + 8 + 8 + 16);
  EXPECT_EQ(parse_udp(*packet)->data.size(), 1u);
}

TEST(Packet, NoNextHeaderIsAProtocolLikeAnother) {
  constexpr std::uint8_t kNone = 59;
  const Bytes bytes = ipv6(kDestinationOptions, extension(kNone));
  EXPECT_EQ(parse(bytes)->protocol, kNone);
  EXPECT_TRUE(parse(bytes)->transport.empty());
}

TEST(Packet, BoundsTheChain) {
  const auto chain = [](std::size_t count) {
    Bytes out;
    for (std::size_t i = 1; i < count; ++i) out = out + extension(kDestinationOptions);
    return ipv6(kDestinationOptions, out + extension(kUdp) + Bytes(8));
  };
  EXPECT_TRUE(parse(chain(kMaxExtensionHeaders)));
  EXPECT_EQ(refusal(chain(kMaxExtensionHeaders + 1)), Malformed::kExtensionHeader);
}

TEST(Packet, RefusesBadChains) {
  EXPECT_EQ(refusal(ipv6(kDestinationOptions, extension(kHopByHop) + extension(kUdp))),
            Malformed::kExtensionHeader);
  EXPECT_EQ(refusal(ipv6(kDestinationOptions, Bytes{kUdp, 1, 0, 0, 0, 0, 0, 0})),
            Malformed::kExtensionHeader);
  EXPECT_EQ(refusal(ipv6(kDestinationOptions, Bytes(7))), Malformed::kExtensionHeader);
  EXPECT_EQ(refusal(ipv6(kRouting, Bytes{kUdp, 0, 0, 1, 0, 0, 0, 0})), Malformed::kSourceRoute);
  const Bytes twice = fragment_header(kFragmentHeader, 0, true, 1) + fragment_header(kUdp, 0, true, 2);
  EXPECT_EQ(refusal(ipv6(kFragmentHeader, twice + Bytes(8))), Malformed::kExtensionHeader);
}

TEST(Packet, ReadsFragments) {
  const Bytes first = ipv4(counted(64), {.flags = 0x2000, .id = 0xbeef});
  auto packet = parse(first);
  ASSERT_TRUE(packet && packet->fragment);
  EXPECT_EQ(packet->fragment->id, 0xbeefu);
  EXPECT_EQ(packet->fragment->offset, 0);
  EXPECT_TRUE(packet->fragment->more);
  EXPECT_EQ(packet->fragment->data.size(), 64u);
  EXPECT_EQ(parse_udp(*packet).error(), Malformed::kFragment);

  const Bytes last =
      ipv6(kDestinationOptions,
           extension(kFragmentHeader) + fragment_header(kTcp, 1024, false, 0xdeadbeef) + counted(5));
  packet = parse(last);
  ASSERT_TRUE(packet && packet->fragment);
  EXPECT_EQ(packet->fragment->id, 0xdeadbeefu);
  EXPECT_EQ(packet->fragment->offset, 1024);
  EXPECT_FALSE(packet->fragment->more);
  EXPECT_EQ(packet->fragment->protocol, kTcp);
  EXPECT_EQ(packet->fragment->header, 48u);
  EXPECT_EQ(packet->fragment->next_header, 40u);
  EXPECT_EQ(copy(packet->fragment->data), counted(5));
}

TEST(Packet, AtomicFragmentsAreWhole) {
  const Bytes datagram = udp(ip("2001:db8::1"), ip("2001:db8::9"), {5});
  const Bytes bytes = ipv6(kFragmentHeader, fragment_header(kUdp, 0, false, 1) + datagram);
  const auto packet = parse(bytes);
  ASSERT_TRUE(packet);
  EXPECT_FALSE(packet->fragment);
  EXPECT_EQ(parse_udp(*packet)->data.size(), 1u);
}

TEST(Packet, RefusesImpossibleFragments) {
  EXPECT_EQ(refusal(ipv4(counted(63), {.flags = 0x2000})), Malformed::kFragmentSize);
  EXPECT_EQ(refusal(ipv4({}, {.flags = 0x2000})), Malformed::kFragmentSize);
  EXPECT_EQ(refusal(ipv4(counted(16), {.flags = 0x1fff})), Malformed::kFragmentSize);
  EXPECT_EQ(refusal(ipv6(kFragmentHeader, fragment_header(kUdp, 0, true, 1) + counted(9))),
            Malformed::kFragmentSize);
  EXPECT_EQ(refusal(ipv6(kFragmentHeader, fragment_header(kUdp, 0xfff8, false, 1) + counted(8))),
            Malformed::kFragmentSize);
  EXPECT_EQ(refusal(ipv6(kFragmentHeader, fragment_header(kUdp, 8, false, 1))), Malformed::kFragmentSize);
}

TEST(Packet, EveryPrefixIsRefusedOrWithinTheBuffer) {
  for (const Bytes& good : good_packets()) {
    ASSERT_TRUE(parse(good));
    for (std::size_t size = 0; size < good.size(); ++size) {
      const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));  // its end is ASan's
      EXPECT_FALSE(parse(cut)) << size;
    }
  }
}

TEST(Packet, EveryByteChangedIsRefusedOrWithinTheBuffer) {
  for (const Bytes& good : good_packets()) {
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        Bytes changed = good;
        changed[at] = static_cast<std::uint8_t>(value);
        expect_within(changed);
      }
    }
  }
}

TEST(Packet, EveryReasonHasAText) {
  std::set<std::string> texts;
  for (std::size_t i = 0; i < kMalformedReasons; ++i) texts.insert(describe(static_cast<Malformed>(i)));
  EXPECT_EQ(texts.size(), kMalformedReasons);
  EXPECT_FALSE(texts.contains("unknown"));
  EXPECT_STREQ(describe(static_cast<Malformed>(kMalformedReasons)), "unknown");
}

}  // namespace
}  // namespace zks::packet
