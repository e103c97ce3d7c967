// SPDX-License-Identifier: MIT
#include "packet/icmp_error.hpp"

#include "packet/checksum.hpp"

namespace zks::packet {
namespace {

constexpr std::size_t kQuotedTransport = 8;  // RFC 792: as much of it is always there

bool is_error_type(bool ipv4, std::uint8_t type) {
  return ipv4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

Parsed<Quoted> finish(Quoted out, ByteView transport) {
  if (transport.size() < kQuotedTransport) return Malformed::kIcmpHeader;
  if (out.protocol == kTcp || out.protocol == kUdp) {
    out.source.port = load_be<std::uint16_t>(&transport[0]);
    out.target.port = load_be<std::uint16_t>(&transport[2]);
  } else {
    out.icmp_type = transport[0];
  }
  return out;
}

Parsed<Quoted> read_ipv4(ByteView bytes) {
  if (bytes.size() < kIpv4Header) return Malformed::kIcmpHeader;
  const std::size_t header = std::size_t{4} * (bytes[0] & 0x0f);
  if (header < kIpv4Header || bytes.size() < header) return Malformed::kIcmpHeader;
  constexpr std::uint16_t kDontFragment = 0x4000;
  constexpr std::uint16_t kOffset = 0x1fff;
  const auto flags = load_be<std::uint16_t>(&bytes[6]);
  if ((flags & kOffset) != 0) return Malformed::kIcmpHeader;
  return finish({.source = {make_ipv4(&bytes[12]), 0},
                 .target = {make_ipv4(&bytes[16]), 0},
                 .protocol = bytes[9],
                 .length = load_be<std::uint16_t>(&bytes[2]),
                 .may_fragment = (flags & kDontFragment) == 0},
                bytes.subspan(header));
}

// What is written to the device has no extension headers but that of a fragment.
Parsed<Quoted> read_ipv6(ByteView bytes) {
  if (bytes.size() < kIpv6Header) return Malformed::kIcmpHeader;
  Quoted out{.source = {make_ipv6(&bytes[8]), 0},
             .target = {make_ipv6(&bytes[24]), 0},
             .protocol = bytes[6],
             .length = kIpv6Header + load_be<std::uint16_t>(&bytes[4])};
  ByteView rest = bytes.subspan(kIpv6Header);
  if (out.protocol == kFragmentHeader) {
    if (rest.size() < kFragmentHeaderBytes) return Malformed::kIcmpHeader;
    if ((load_be<std::uint16_t>(&rest[2]) & 0xfff8) != 0) return Malformed::kIcmpHeader;
    out.protocol = rest[0];
    rest = rest.subspan(kFragmentHeaderBytes);
  }
  return finish(out, rest);
}

}  // namespace

bool IcmpError::is_too_big() const {
  return quoted.source.address.is_ipv4() ? said.type == 3 && said.code == 4 : said.type == 2;
}

// type (1) || code (1) || checksum (2) || IPv4: unused (2) || MTU (2), IPv6: MTU (4) || the quoted packet
Parsed<IcmpError> parse_icmp_error(const Packet& packet) {
  const bool ipv4 = packet.is_ipv4();
  if (packet.fragment) return Malformed::kFragment;
  if (packet.protocol != (ipv4 ? kIcmp : kIcmpV6)) return Malformed::kProtocol;
  const ByteView bytes = packet.transport;
  if (bytes.size() < kIcmpErrorHeader) return Malformed::kIcmpHeader;
  const std::uint64_t sum = ipv4 ? 0 : pseudo_header(packet.source, packet.target, kIcmpV6, bytes.size());
  if (!is_good(add_bytes(sum, bytes))) return Malformed::kIcmpChecksum;
  if (!is_error_type(ipv4, bytes[0])) return Malformed::kNotEcho;
  const ByteView quoted_bytes = bytes.subspan(kIcmpErrorHeader);
  if (quoted_bytes.empty() || quoted_bytes[0] >> 4 != (ipv4 ? 4 : 6)) return Malformed::kIcmpHeader;
  const auto quoted = ipv4 ? read_ipv4(quoted_bytes) : read_ipv6(quoted_bytes);
  if (!quoted) return quoted.error();
  IcmpError out{.said = {.type = bytes[0], .code = bytes[1]}, .quoted = *quoted};
  if (out.is_too_big())
    out.said.mtu = ipv4 ? load_be<std::uint16_t>(&bytes[6]) : load_be<std::uint32_t>(&bytes[4]);
  return out;
}

}  // namespace zks::packet
