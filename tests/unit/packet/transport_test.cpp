// SPDX-License-Identifier: MIT
#include "packet/transport.hpp"

#include "packet/udp_segments.hpp"
#include "packet_fixture.hpp"

namespace zks::packet {
namespace {

// Bytes with the packet that points into them.
struct Held {
  Bytes bytes;
  Packet packet;

  explicit Held(Bytes from) : bytes(std::move(from)), packet(parse(bytes).value()) {}
};

TEST(Tcp, ReadsTheHeader) {
  const Held four(tcp4(0x12, {1, 2, 3}));
  const auto segment = parse_tcp(four.packet);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->source_port, 40000);
  EXPECT_EQ(segment->target_port, 443);
  EXPECT_EQ(segment->sequence, 0xfffffff0u);
  EXPECT_EQ(segment->acknowledgment, 0x01020304u);
  EXPECT_TRUE(segment->syn && segment->ack);
  EXPECT_FALSE(segment->fin || segment->rst || segment->opens());
  EXPECT_EQ(copy(segment->data), (Bytes{1, 2, 3}));

  const Held six(tcp6(0x02));
  EXPECT_TRUE(parse_tcp(six.packet)->opens());
  EXPECT_EQ(parse_tcp(six.packet)->header_bytes, 24u);
  EXPECT_TRUE(parse_tcp(Held(tcp4(0x01)).packet)->fin);
  EXPECT_TRUE(parse_tcp(Held(tcp4(0x04)).packet)->rst);
}

TEST(Tcp, RefusesImpossibleHeaders) {
  for (std::size_t size = 0; size < kTcpHeader; ++size) {
    const Held cut(ipv4(counted(size), {.protocol = kTcp}));
    EXPECT_EQ(parse_tcp(cut.packet).error(), Malformed::kTcpHeader) << size;
  }
  for (const int offset : {0, 4, 6, 15}) {
    Bytes header(20);
    header[12] = static_cast<std::uint8_t>(offset << 4);
    EXPECT_EQ(parse_tcp(Held(ipv4(header, {.protocol = kTcp})).packet).error(), Malformed::kTcpHeader);
  }
  EXPECT_EQ(parse_tcp(Held(udp4({})).packet).error(), Malformed::kProtocol);
}

TEST(Udp, ReadsTheDatagram) {
  for (const Bytes& bytes : {udp4(counted(33)), udp6(counted(33)), udp4({}), udp6({})}) {
    const Held held(bytes);
    const auto datagram = parse_udp(held.packet);
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->source_port, 5353);
    EXPECT_EQ(datagram->target_port, 53);
    EXPECT_TRUE(datagram->data.empty() || copy(datagram->data) == counted(33));
  }
}

TEST(Udp, ALengthBelowThePacketsCutsIt) {
  Bytes datagram = be16(1) + be16(2) + be16(10) + be16(0) + counted(20);
  EXPECT_EQ(parse_udp(Held(ipv4(datagram)).packet)->data.size(), 2u);
  for (const std::size_t length : {0u, 7u, 29u, 65535u}) {
    datagram[4] = static_cast<std::uint8_t>(length >> 8);
    datagram[5] = static_cast<std::uint8_t>(length);
    EXPECT_EQ(parse_udp(Held(ipv4(datagram)).packet).error(), Malformed::kUdpLength) << length;
  }
  EXPECT_EQ(parse_udp(Held(ipv4(counted(7))).packet).error(), Malformed::kUdpLength);
}

TEST(Udp, EveryChangedByteOfADatagramIsFound) {
  for (const Bytes& good : {udp4(counted(31)), udp6(counted(31))}) {
    const std::size_t start = Held(good).packet.transport_at();
    for (std::size_t at = start; at < good.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes changed = good;
        changed[at] ^= static_cast<std::uint8_t>(1 << bit);
        EXPECT_TRUE(parse_udp(Held(changed).packet).has_error()) << at;
      }
    }
  }
}

TEST(Udp, ChecksumMayBeMissingInIpv4Only) {
  const Bytes datagram = be16(1) + be16(2) + be16(9) + be16(0) + Bytes{7};
  EXPECT_TRUE(parse_udp(Held(ipv4(datagram)).packet));
  EXPECT_EQ(parse_udp(Held(ipv6(kUdp, datagram)).packet).error(), Malformed::kUdpChecksum);
}

TEST(Udp, OffloadsSayWhenThereIsNothingToVerify) {
  const Bytes datagram = be16(1) + be16(2) + be16(9) + be16(0x1111) + Bytes{7};
  const Held held(ipv6(kUdp, datagram));
  EXPECT_EQ(parse_udp(held.packet).error(), Malformed::kUdpChecksum);
  EXPECT_TRUE(parse_udp(held.packet, {.flags = VirtioHeader::kNeedsCsum}));
  EXPECT_TRUE(parse_udp(held.packet, {.flags = VirtioHeader::kDataValid}));
}

TEST(Echo, ReadsRequests) {
  for (const Bytes& bytes : {ping4(counted(9)), ping6(counted(9))}) {
    const Held held(bytes);
    const auto request = parse_echo(held.packet);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->id, 77);
    EXPECT_EQ(request->sequence, 3);
    EXPECT_EQ(copy(request->data), counted(9));
    for (std::size_t at = held.packet.transport_at(); at < bytes.size(); ++at) {
      Bytes changed = bytes;
      changed[at] ^= 0x10;
      EXPECT_EQ(parse_echo(Held(changed).packet).error(), Malformed::kIcmpChecksum);
    }
  }
}

TEST(Echo, NothingElseIsOne) {
  const auto icmp = [](std::uint8_t type, std::uint8_t code) {
    return parse_echo(
        Held(ipv4(with_checksum({type, code, 0, 0, 0, 1, 0, 2}, 2), {.protocol = kIcmp})).packet);
  };
  EXPECT_TRUE(icmp(8, 0));
  EXPECT_EQ(icmp(0, 0).error(), Malformed::kNotEcho);
  EXPECT_EQ(icmp(8, 1).error(), Malformed::kNotEcho);
  EXPECT_EQ(icmp(3, 3).error(), Malformed::kNotEcho);
  EXPECT_EQ(parse_echo(Held(ipv4(counted(7), {.protocol = kIcmp})).packet).error(), Malformed::kIcmpHeader);
  // ICMP over IPv6, and ICMPv6 over IPv4, are neither.
  EXPECT_EQ(parse_echo(Held(ipv6(kIcmp, Bytes(8))).packet).error(), Malformed::kProtocol);
  EXPECT_EQ(parse_echo(Held(ipv4(Bytes(8), {.protocol = kIcmpV6})).packet).error(), Malformed::kProtocol);
}

TEST(UdpSegments, AreGsoSizeBytesEach) {
  const Bytes data = counted(25);
  const VirtioHeader offload{.flags = VirtioHeader::kNeedsCsum, .gso_type = 5, .gso_size = 10};
  UdpSegments segments(data, offload);
  Bytes together;
  std::vector<std::size_t> sizes;
  while (const auto segment = segments.next()) {
    sizes.push_back(segment->size());
    together = together + copy(*segment);
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{10, 10, 5}));
  EXPECT_EQ(together, data);

  UdpSegments even(ByteView(data).first(20), offload);
  EXPECT_TRUE(even.next() && even.next() && !even.next());
}

TEST(UdpSegments, OneWithoutGsoEvenWhenItIsEmpty) {
  const Bytes data = counted(25);
  UdpSegments one(data, {});
  EXPECT_EQ(one.next()->size(), 25u);
  EXPECT_FALSE(one.next());
  UdpSegments none(ByteView(), {});
  EXPECT_TRUE(none.next());
  EXPECT_FALSE(none.next());
}

TEST(VirtioHeader, IsTenBytesInTheHostsOrder) {
  const VirtioHeader header{
      .flags = 1, .gso_type = 4, .hdr_len = 60, .gso_size = 1440, .csum_start = 40, .csum_offset = 16};
  Bytes bytes(kVirtioHeader);
  EXPECT_EQ(encode_virtio_header(header, bytes), kVirtioHeader);
  EXPECT_EQ(decode_virtio_header(bytes), header);
  std::uint16_t size = 0;
  std::memcpy(&size, &bytes[4], sizeof size);
  EXPECT_EQ(size, 1440);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[1], 4);
  for (std::size_t length = 0; length < kVirtioHeader; ++length) {
    EXPECT_FALSE(decode_virtio_header(ByteView(bytes).first(length)));
    EXPECT_EQ(encode_virtio_header(header, MutableBytes(bytes).first(length)), 0u);
  }
}

TEST(VirtioHeader, MustFitThePacket) {
  const Held tcp(tcp4(0x18, counted(3000)));
  const VirtioHeader tso{
      .flags = 1, .gso_type = 1, .hdr_len = 40, .gso_size = 1460, .csum_start = 20, .csum_offset = 16};
  EXPECT_TRUE(check({}, tcp.packet));
  EXPECT_TRUE(check(tso, tcp.packet));
  const auto refused = [&](const Held& held, auto change) {
    VirtioHeader header = tso;
    change(header);
    return check(header, held.packet).has_error();
  };
  EXPECT_FALSE(refused(tcp, [](VirtioHeader& h) { h.gso_type |= VirtioHeader::kEcn; }));
  EXPECT_TRUE(refused(tcp, [](VirtioHeader& h) { h.csum_start = 24; }));
  EXPECT_TRUE(refused(tcp, [](VirtioHeader& h) { h.csum_offset = 6; }));
  EXPECT_TRUE(refused(tcp, [](VirtioHeader& h) { h.gso_size = 0; }));
  EXPECT_TRUE(refused(tcp, [](VirtioHeader& h) { h.flags = 0; }));
  EXPECT_TRUE(refused(tcp, [](VirtioHeader& h) { h.hdr_len = 3041; }));
  for (const int type : {2, 3, 4, 5, 6, 0x7f, 0x80, 0x85}) {
    EXPECT_TRUE(refused(tcp, [&](VirtioHeader& h) { h.gso_type = static_cast<std::uint8_t>(type); })) << type;
  }
  EXPECT_TRUE(refused(Held(tcp6(0x18, counted(3000))), [](VirtioHeader& h) { h.csum_start = 40; }));
  EXPECT_TRUE(refused(Held(udp4(counted(3000))), [](VirtioHeader& h) { h.csum_offset = 6; }));
  // Another protocol's checksum lies somewhere within it.
  const Held other(ipv4(counted(8), {.protocol = 47}));
  EXPECT_TRUE(check({.flags = 1, .csum_start = 20, .csum_offset = 6}, other.packet));
  EXPECT_FALSE(check({.flags = 1, .csum_start = 20, .csum_offset = 7}, other.packet));
  EXPECT_FALSE(check({.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, other.packet));
  EXPECT_FALSE(check({.flags = 1, .csum_start = 18, .csum_offset = 0}, other.packet));
  const Held part(ipv4(counted(64), {.flags = 0x2000}));
  EXPECT_FALSE(check({.flags = 1, .csum_start = 20, .csum_offset = 6}, part.packet));
}

TEST(VirtioHeader, BoundsTheDatagramsOfAPacket) {
  const VirtioHeader uso{.flags = 1, .gso_type = 5, .gso_size = 10, .csum_start = 20, .csum_offset = 6};
  EXPECT_TRUE(check(uso, Held(udp4(counted(10 * kMaxUdpSegments))).packet));
  EXPECT_FALSE(check(uso, Held(udp4(counted(10 * kMaxUdpSegments + 1))).packet));
}

}  // namespace
}  // namespace zks::packet
