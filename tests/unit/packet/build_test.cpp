// SPDX-License-Identifier: MIT
#include "packet/build.hpp"

#include "packet/reassembly.hpp"
#include "packet_fixture.hpp"

namespace zks::packet {
namespace {

const Endpoint kSource4{ip("192.0.2.9"), 53};
const Endpoint kTarget4{ip("10.0.0.1"), 5353};
const Endpoint kSource6{ip("2001:db8::9"), 53};
const Endpoint kTarget6{ip("2001:db8::1"), 5353};

Bytes built(const Message& message) {
  Bytes out(kIpv6Header + kMaxPacket);
  out.resize(build(message, out));
  return out;
}

Bytes built_udp(const Endpoint& source, const Endpoint& target, const Bytes& data) {
  return built(udp_message(source, target, data).value());
}

// Sums up to 0xffff, as any receiver would find.
bool checksum_is_good(const Packet& packet) {
  const std::uint16_t pseudo =
      packet.protocol == kIcmp
          ? std::uint16_t{0}
          : pseudo_sum(packet.source, packet.target, packet.protocol, packet.transport.size());
  return plain_sum(be16(pseudo) + copy(packet.transport)) == 0xffff;
}

TEST(BuildUdp, IsReadBack) {
  for (const auto& [source, target] : {std::pair{kSource4, kTarget4}, std::pair{kSource6, kTarget6}}) {
    for (const std::size_t size : {0u, 1u, 2u, 1199u, 65507u}) {
      const Bytes bytes = built_udp(source, target, counted(size));
      const auto packet = parse(bytes);
      ASSERT_TRUE(packet);
      EXPECT_TRUE(checksum_is_good(*packet));
      EXPECT_EQ(packet->source, source.address);
      EXPECT_EQ(packet->target, target.address);
      EXPECT_EQ(packet->hop_limit, 64);
      EXPECT_FALSE(packet->may_fragment);
      const auto datagram = parse_udp(*packet);
      ASSERT_TRUE(datagram);
      EXPECT_EQ(datagram->source_port, source.port);
      EXPECT_EQ(datagram->target_port, target.port);
      EXPECT_EQ(copy(datagram->data), counted(size));
    }
  }
}

TEST(BuildUdp, AChecksumOfZeroIsWrittenAsOnes) {
  // Whatever two bytes make the sum 0xffff are among these.
  for (std::size_t value = 0; value <= 0xffff; ++value) {
    const Bytes bytes = be16(value);
    const auto message = udp_message(kSource6, kTarget6, bytes);
    ASSERT_FALSE(message->header[6] == 0 && message->header[7] == 0) << value;
    if (message->header[6] != 0xff || message->header[7] != 0xff) continue;
    EXPECT_TRUE(parse_udp(parse(built(*message)).value()));
    return;
  }
  FAIL() << "no such datagram";
}

TEST(BuildUdp, RefusesWhatDoesNotFit) {
  const Bytes data = counted(65'528);
  EXPECT_FALSE(udp_message(kSource4, kTarget6, {}));
  EXPECT_TRUE(udp_message(kSource4, kTarget4, ByteView(data).first(65'507)));
  EXPECT_FALSE(udp_message(kSource4, kTarget4, ByteView(data).first(65'508)));
  EXPECT_FALSE(udp_message(kSource6, kTarget6, data));
  const Message message = udp_message(kSource4, kTarget4, ByteView(data).first(100)).value();
  Bytes out(128);
  EXPECT_EQ(build(message, MutableBytes(out).first(127)), 0u);
  EXPECT_EQ(build(message, out), 128u);
}

TEST(BuildEcho, ReplyHasWhatTheRequestHad) {
  const Bytes data = counted(56);
  for (const bool ipv4 : {true, false}) {
    const auto message = echo_reply(ipv4 ? kSource4.address : kSource6.address,
                                    ipv4 ? kTarget4.address : kTarget6.address, {77, 3, data});
    const Bytes bytes = built(message.value());
    const Packet packet = parse(bytes).value();
    EXPECT_TRUE(checksum_is_good(packet));
    EXPECT_EQ(packet.protocol, ipv4 ? kIcmp : kIcmpV6);
    EXPECT_EQ(packet.transport[0], ipv4 ? 0 : 129);
    EXPECT_EQ(copy(packet.transport.subspan(4)), be16(77) + be16(3) + data);
    EXPECT_EQ(parse_echo(packet).error(), Malformed::kNotEcho);
  }
  EXPECT_FALSE(echo_reply(kSource4.address, kTarget6.address, {}));
  EXPECT_FALSE(echo_reply(kSource4.address, kTarget4.address, {1, 1, counted(65'508)}));
}

TEST(BuildEcho, HasTheHopLimitThatItIsGivenWholeAndInFragments) {
  for (const bool ipv4 : {true, false}) {
    const Bytes data = counted(3'000);
    auto message = echo_reply(ipv4 ? kSource4.address : kSource6.address,
                              ipv4 ? kTarget4.address : kTarget6.address, {1, 1, data});
    ASSERT_TRUE(message);
    EXPECT_EQ(parse(built(*message)).value().hop_limit, 64);
    message->hop_limit = 51;
    EXPECT_EQ(parse(built(*message)).value().hop_limit, 51);
    Fragments fragments(*message, 1'500, 7);
    Bytes out(1'500);
    for (std::size_t size = fragments.next(out); size > 0; size = fragments.next(out)) {
      EXPECT_EQ(parse(ByteView(out).first(size)).value().hop_limit, 51);
    }
  }
}

TEST(BuildFragments, AreWithinTheMtuAndMakeTheWhole) {
  for (const auto& [source, target] : {std::pair{kSource4, kTarget4}, std::pair{kSource6, kTarget6}}) {
    for (const std::size_t mtu : {0u, 1280u, 1281u, 1500u, 9000u}) {
      const Bytes data = counted(65'507);
      const Message message = udp_message(source, target, data).value();
      const std::size_t most = std::max(mtu, source.address.is_ipv4() ? kMinMtuV4 : kMinMtuV6);
      Reassembler reassembler;
      Fragments fragments(message, mtu, 0xabcd);
      Bytes out(most);
      std::size_t count = 0;
      std::optional<ByteView> whole;
      while (const std::size_t size = fragments.next(out)) {
        ++count;
        EXPECT_FALSE(whole);
        const auto packet = parse(ByteView(out).first(size));
        ASSERT_TRUE(packet && packet->fragment);
        whole = reassembler.add(*packet, {});
      }
      EXPECT_LE(count, 120u);
      ASSERT_TRUE(whole);
      EXPECT_EQ(copy(parse_udp(parse(*whole).value())->data), data);
    }
  }
}

TEST(BuildFragments, OneThatFitsIsWhole) {
  for (const auto& [source, target] : {std::pair{kSource4, kTarget4}, std::pair{kSource6, kTarget6}}) {
    const std::size_t most = 1500 - 8 - (source.address.is_ipv4() ? 20 : 40);
    for (const std::size_t size : {most, most + 1}) {
      const Bytes data = counted(size);
      const Message message = udp_message(source, target, data).value();
      Fragments fragments(message, 1500, 1);
      Bytes out(1500);
      EXPECT_EQ(fragments.next(MutableBytes(out).first(1000)), 0u);  // no room yet
      const auto packet = parse(ByteView(out).first(fragments.next(out)));
      EXPECT_EQ(packet->fragment.has_value(), size > most);
      EXPECT_EQ(fragments.next(out) == 0, size == most);
    }
  }
}

TEST(BuildUdpSegments, AreLeftToTheKernel) {
  const Bytes data = counted(25);
  Bytes out(200);
  VirtioHeader offload;
  const std::size_t size = build_udp_segments(kSource6, kTarget6, data, 10, offload, out);
  ASSERT_EQ(size, 40u + 8 + 25);
  const auto packet = parse(ByteView(out).first(size));
  ASSERT_TRUE(packet);
  EXPECT_TRUE(check(offload, *packet));
  EXPECT_EQ(offload.gso(), VirtioHeader::Gso::kUdpL4);
  EXPECT_EQ(offload.gso_size, 10);
  EXPECT_EQ(copy(parse_udp(*packet, offload)->data), data);
  // The field holds the pseudo-header's sum, not complemented: with it the sum over the datagram is the
  // whole.
  const std::uint16_t field = load_be<std::uint16_t>(&packet->transport[6]);
  EXPECT_EQ(field, pseudo_sum(kSource6.address, kTarget6.address, kUdp, 33));

  ASSERT_GT(build_udp_segments(kSource4, kTarget4, data, 25, offload, out), 0u);
  EXPECT_EQ(offload.gso(), VirtioHeader::Gso::kNone);
  EXPECT_TRUE(offload.needs_csum());
  EXPECT_EQ(build_udp_segments(kSource4, kTarget4, data, 0, offload, out), 0u);
  EXPECT_EQ(build_udp_segments(kSource4, kTarget6, data, 10, offload, out), 0u);
  EXPECT_EQ(build_udp_segments(kSource4, kTarget4, data, 10, offload, MutableBytes(out).first(52)), 0u);
  EXPECT_GT(build_udp_segments(kSource4, kTarget4, counted(64), 1, offload, out), 0u);
  EXPECT_EQ(build_udp_segments(kSource4, kTarget4, counted(65), 1, offload, out), 0u);
}

Bytes reset_of(const Bytes& bytes) {
  Bytes out(100);
  const Packet packet = parse(bytes).value();
  out.resize(build_reset(packet, parse_tcp(packet).value(), out));
  return out;
}

TEST(BuildReset, AcknowledgesWhatHadNoAck) {
  for (const Bytes& bytes : {tcp4(0x02, {1, 2}), tcp6(0x02, {1, 2})}) {
    const Bytes answer = reset_of(bytes);
    const Packet packet = parse(answer).value();
    EXPECT_TRUE(checksum_is_good(packet));
    EXPECT_EQ(packet.source, parse(bytes)->target);
    EXPECT_EQ(packet.target, parse(bytes)->source);
    const Tcp reset = parse_tcp(packet).value();
    EXPECT_EQ(reset.source_port, 443);
    EXPECT_EQ(reset.target_port, 40000);
    EXPECT_TRUE(reset.rst && reset.ack && !reset.syn && !reset.fin);
    EXPECT_EQ(reset.sequence, 0u);
    EXPECT_EQ(reset.acknowledgment, 0xfffffff3u);  // SYN and two bytes
  }
  const Bytes wrapped = reset_of(tcp4(0x03, counted(20)));
  EXPECT_EQ(parse_tcp(parse(wrapped).value())->acknowledgment, 6u);  // SYN, FIN, 20 bytes from 2^32 - 16
}

TEST(BuildReset, TakesItsSequenceFromAnAck) {
  const Bytes answer = reset_of(tcp4(0x18, {1, 2}));
  const Tcp reset = parse_tcp(parse(answer).value()).value();
  EXPECT_TRUE(reset.rst && !reset.ack);
  EXPECT_EQ(reset.sequence, 0x01020304u);
  EXPECT_EQ(reset.acknowledgment, 0u);
}

TEST(BuildReset, NeverAnswersAResetOrMany) {
  EXPECT_TRUE(reset_of(tcp4(0x04)).empty());
  EXPECT_TRUE(reset_of(tcp4(0x14)).empty());
  const auto between = [](const char* source, const char* target) {
    return reset_of(
        ipv4(tcp(ip(source), ip(target), 0x02, {}), {.protocol = kTcp, .source = source, .target = target}));
  };
  EXPECT_FALSE(between("10.0.0.1", "192.0.2.9").empty());
  EXPECT_TRUE(between("0.0.0.0", "192.0.2.9").empty());
  EXPECT_TRUE(between("10.0.0.1", "224.0.0.251").empty());
  EXPECT_TRUE(between("255.255.255.255", "192.0.2.9").empty());
}

Bytes error_about(const Bytes& bytes, const IcmpMessage& message) {
  Bytes out(2000);
  const Packet packet = parse(bytes).value();
  const IpAddress from = packet.is_ipv4() ? ip("10.0.0.254") : ip("2001:db8::fe");
  out.resize(build_icmp_error(packet, message, from, out));
  return out;
}

TEST(BuildIcmpError, QuotesThePacket) {
  for (const Bytes& bytes :
       {udp4(counted(30)), udp6(counted(30)), tcp4(0x02), tcp6(0x02), ping4({}), ping6({})}) {
    const bool ipv4 = bytes[0] >> 4 == 4;
    const Bytes answer = error_about(bytes, unreachable(ipv4, Unreachable::kPort));
    const Packet packet = parse(answer).value();
    EXPECT_TRUE(checksum_is_good(packet));
    EXPECT_EQ(packet.source, ipv4 ? ip("10.0.0.254") : ip("2001:db8::fe"));
    EXPECT_EQ(packet.target, parse(bytes)->source);
    EXPECT_EQ(packet.protocol, ipv4 ? kIcmp : kIcmpV6);
    EXPECT_EQ(packet.transport[0], ipv4 ? 3 : 1);
    EXPECT_EQ(packet.transport[1], ipv4 ? 3 : 4);
    EXPECT_EQ(copy(packet.transport.subspan(4, 4)), Bytes(4));
    EXPECT_EQ(copy(packet.transport.subspan(8)), bytes);
  }
}

TEST(BuildIcmpError, QuotesUpTo576And1280Bytes) {
  EXPECT_EQ(error_about(udp4(counted(3000)), unreachable(true, Unreachable::kHost)).size(), 576u);
  EXPECT_EQ(error_about(udp6(counted(3000)), unreachable(false, Unreachable::kHost)).size(), 1280u);
  const Bytes bytes = udp4(counted(100));
  Bytes out(155);
  EXPECT_EQ(
      build_icmp_error(parse(bytes).value(), unreachable(true, Unreachable::kHost), kSource4.address, out),
      0u);
}

TEST(BuildIcmpError, SaysTheMtu) {
  const Bytes four = error_about(udp4(counted(30)), too_big(true, 1300));
  EXPECT_EQ(copy(ByteView(four).subspan(20, 2)), (Bytes{3, 4}));
  EXPECT_EQ(copy(ByteView(four).subspan(24, 4)), be16(0) + be16(1300));
  const Bytes six = error_about(udp6(counted(30)), too_big(false, 70'000));
  EXPECT_EQ(copy(ByteView(six).subspan(40, 2)), (Bytes{2, 0}));
  EXPECT_EQ(copy(ByteView(six).subspan(44, 4)), be32(70'000));
  const Bytes most = error_about(udp4({}), too_big(true, 70'000));
  EXPECT_EQ(copy(ByteView(most).subspan(26, 2)), be16(0xffff));
}

TEST(BuildIcmpError, CodesAreThoseOfTheFamily) {
  const auto code = [](bool ipv4, Unreachable what) {
    const IcmpMessage message = unreachable(ipv4, what);
    return std::pair<int, int>{message.type, message.code};
  };
  EXPECT_EQ(code(true, Unreachable::kNetwork), (std::pair{3, 0}));
  EXPECT_EQ(code(true, Unreachable::kHost), (std::pair{3, 1}));
  EXPECT_EQ(code(true, Unreachable::kProhibited), (std::pair{3, 13}));
  EXPECT_EQ(code(false, Unreachable::kNetwork), (std::pair{1, 0}));
  EXPECT_EQ(code(false, Unreachable::kHost), (std::pair{1, 3}));
  EXPECT_EQ(code(false, Unreachable::kProhibited), (std::pair{1, 1}));
}

TEST(BuildIcmpError, NeverAnswersWhatMayNotBe) {
  const IcmpMessage four = unreachable(true, Unreachable::kHost);
  const IcmpMessage six = unreachable(false, Unreachable::kHost);
  const auto icmp4 = [](std::uint8_t type) {
    return ipv4(with_checksum({type, 0, 0, 0, 0, 0, 0, 0}, 2), {.protocol = kIcmp});
  };
  for (const int type : {3, 4, 5, 11, 12}) {
    EXPECT_TRUE(error_about(icmp4(static_cast<std::uint8_t>(type)), four).empty()) << type;
  }
  EXPECT_FALSE(error_about(icmp4(8), four).empty());
  EXPECT_TRUE(error_about(ipv4({}, {.protocol = kIcmp}), four).empty());
  for (const int type : {1, 2, 3, 4, 127, 137}) {
    EXPECT_TRUE(error_about(ipv6(kIcmpV6, {static_cast<std::uint8_t>(type), 0, 0, 0}), six).empty()) << type;
  }
  EXPECT_FALSE(error_about(ping6({}), six).empty());

  EXPECT_FALSE(error_about(ipv4(counted(64), {.flags = 0x2000}), four).empty());
  EXPECT_TRUE(error_about(ipv4(counted(64), {.flags = 0x2008}), four).empty());
  EXPECT_TRUE(error_about(ipv4(counted(64), {.flags = 0x0008}), four).empty());

  for (const char* source :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"}) {
    EXPECT_TRUE(error_about(ipv4(counted(8), {.source = source}), four).empty()) << source;
  }
  for (const char* target : {"224.0.0.251", "255.255.255.255"}) {
    EXPECT_TRUE(error_about(ipv4(counted(8), {.target = target}), four).empty()) << target;
  }
  EXPECT_TRUE(error_about(ipv6(kUdp, counted(8), "::"), six).empty());
  EXPECT_TRUE(error_about(ipv6(kUdp, counted(8), "ff02::1"), six).empty());
  EXPECT_TRUE(error_about(ipv6(kUdp, counted(8), "2001:db8::1", "ff02::fb"), six).empty());
  EXPECT_FALSE(error_about(ipv6(kUdp, counted(8), "2001:db8::1", "ff02::fb"), too_big(false, 1280)).empty());
}

TEST(BuildIcmpError, IsAlwaysAnError) {
  for (int type = 0; type < 256; ++type) {
    const auto number = static_cast<std::uint8_t>(type);
    const bool four = !error_about(udp4({}), {number, 0}).empty();
    const bool six = !error_about(udp6({}), {number, 0}).empty();
    EXPECT_EQ(four, type == 3 || type == 11 || type == 12) << type;
    EXPECT_EQ(six, type >= 1 && type <= 4) << type;
  }
}

}  // namespace
}  // namespace zks::packet
