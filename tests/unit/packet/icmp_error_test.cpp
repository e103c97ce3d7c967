// SPDX-License-Identifier: MIT
#include "packet/icmp_error.hpp"

#include "packet_fixture.hpp"

namespace zks::packet {
namespace {

// A router of the container's side, about a packet that went from 192.0.2.9 to 10.0.0.1.
Bytes error4(std::uint8_t type, std::uint8_t code, std::size_t mtu, const Bytes& quoted) {
  const Bytes icmp = Bytes{type, code, 0, 0} + be16(0) + be16(mtu) + quoted;
  return ipv4(with_checksum(icmp, 2), {.protocol = kIcmp});
}
Bytes error6(std::uint8_t type, std::uint8_t code, std::size_t mtu, const Bytes& quoted) {
  const Bytes icmp = Bytes{type, code, 0, 0} + be32(mtu) + quoted;
  const std::uint16_t sum = pseudo_sum(ip("2001:db8::1"), ip("2001:db8::9"), kIcmpV6, icmp.size());
  return ipv6(kIcmpV6, with_checksum(icmp, 2, sum));
}
Bytes quoted4(std::uint8_t protocol, const Bytes& above, std::size_t flags = 0x4000) {
  return ipv4(above, {.protocol = protocol, .flags = flags, .source = "192.0.2.9", .target = "10.0.0.1"});
}
const Bytes kSegment = be16(443) + be16(40000) + be32(7) + Bytes(12);

Parsed<IcmpError> read(const Bytes& bytes) {
  const auto packet = parse(bytes);
  if (!packet) return packet.error();
  return parse_icmp_error(*packet);
}

TEST(IcmpError, SaysTheMtuAndWhichConnectionItIsAbout) {
  const auto error = read(error4(3, 4, 1280, quoted4(kTcp, kSegment)));
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is_too_big());
  EXPECT_EQ(error->said.mtu, 1280U);
  EXPECT_EQ(error->quoted.source, (Endpoint{ip("192.0.2.9"), 443}));
  EXPECT_EQ(error->quoted.target, (Endpoint{ip("10.0.0.1"), 40000}));
  EXPECT_EQ(error->quoted.protocol, kTcp);
  EXPECT_EQ(error->quoted.length, 40U);
  EXPECT_FALSE(error->quoted.may_fragment);
  EXPECT_TRUE(read(error4(3, 4, 0, quoted4(kTcp, kSegment, 0)))->quoted.may_fragment);
}

TEST(IcmpError, ReadsIpv6AlsoBehindAFragmentHeader) {
  const auto error = read(error6(2, 0, 70'000, ipv6(kTcp, kSegment)));
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is_too_big());
  EXPECT_EQ(error->said.mtu, 70'000U);
  EXPECT_EQ(error->quoted.length, 60U);
  const Bytes first = fragment_header(kUdp, 0, true, 9) + kSegment;
  const auto cut = read(error6(2, 0, 1280, ipv6(kFragmentHeader, first)));
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->quoted.protocol, kUdp);
  EXPECT_EQ(cut->quoted.target.port, 40000);
  const Bytes later = fragment_header(kUdp, 8, true, 9) + kSegment;
  EXPECT_EQ(read(error6(2, 0, 1280, ipv6(kFragmentHeader, later))).error(), Malformed::kIcmpHeader);
}

TEST(IcmpError, OtherErrorsHaveNoMtu) {
  for (const auto& [type, code] : {std::pair{3, 3}, {11, 0}, {12, 0}}) {
    const auto error = read(error4(static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code), 1280,
                                   quoted4(kUdp, kSegment)));
    ASSERT_TRUE(error);
    EXPECT_FALSE(error->is_too_big());
    EXPECT_EQ(error->said.mtu, 0U);
    EXPECT_EQ(error->quoted.source.port, 443);
  }
  EXPECT_FALSE(read(error6(1, 4, 1280, ipv6(kUdp, kSegment)))->is_too_big());
}

TEST(IcmpError, OfAPingItSaysTheType) {
  const auto error = read(error4(3, 4, 1000, quoted4(kIcmp, Bytes{0, 0, 1, 2, 3, 4, 5, 6})));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->quoted.icmp_type, 0);
  EXPECT_EQ(error->quoted.source.port, 0);
}

TEST(IcmpError, RefusesWhatIsNoErrorOrDoesNotSayWhatItIsAbout) {
  EXPECT_EQ(read(ping4({})).error(), Malformed::kNotEcho);
  EXPECT_EQ(read(error4(5, 1, 0, quoted4(kTcp, kSegment))).error(), Malformed::kNotEcho);  // redirect
  EXPECT_EQ(read(error6(137, 0, 0, ipv6(kTcp, kSegment))).error(), Malformed::kNotEcho);
  EXPECT_EQ(read(udp4({})).error(), Malformed::kProtocol);
  EXPECT_EQ(read(error4(3, 4, 9, quoted4(kTcp, kSegment, 0x2001))).error(), Malformed::kIcmpHeader);
  EXPECT_EQ(read(error4(3, 4, 9, ipv6(kTcp, kSegment))).error(), Malformed::kIcmpHeader);  // another family
  Bytes wrong = error4(3, 4, 1280, quoted4(kTcp, kSegment));
  wrong.back() ^= 1;
  EXPECT_EQ(read(wrong).error(), Malformed::kIcmpChecksum);
}

TEST(IcmpError, AQuotationMayEndEightBytesAboveIp) {
  const Bytes quoted = quoted4(kTcp, kSegment);
  const Bytes longer = ipv6(kTcp, kSegment);
  for (std::size_t size = 0; size <= quoted.size(); ++size) {
    const Bytes cut(quoted.begin(), quoted.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(read(error4(3, 4, 1280, cut)).has_value(), size >= 28) << size;
  }
  for (std::size_t size = 0; size <= longer.size(); ++size) {
    const Bytes cut(longer.begin(), longer.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(read(error6(2, 0, 1280, cut)).has_value(), size >= 48) << size;
  }
}

}  // namespace
}  // namespace zks::packet
