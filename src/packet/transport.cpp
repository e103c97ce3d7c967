// SPDX-License-Identifier: MIT
#include "packet/transport.hpp"

#include "packet/checksum.hpp"

namespace zks::packet {
namespace {

std::optional<Malformed> expect(const Packet& packet, std::uint8_t protocol) {
  if (packet.fragment) return Malformed::kFragment;
  if (packet.protocol != protocol) return Malformed::kProtocol;
  return std::nullopt;
}

}  // namespace

// ports (2, 2) || sequence (4) || acknowledgment (4) || data offset (4 bits), reserved || flags (1) ||
// window (2) || checksum (2) || urgent pointer (2) || options
Parsed<Tcp> parse_tcp(const Packet& packet) {
  if (const auto bad = expect(packet, kTcp)) return *bad;
  const ByteView bytes = packet.transport;
  if (bytes.size() < kTcpHeader) return Malformed::kTcpHeader;
  const std::size_t header = std::size_t{4} * (bytes[12] >> 4);
  if (header < kTcpHeader || header > bytes.size()) return Malformed::kTcpHeader;
  const std::uint8_t flags = bytes[13];
  return Tcp{.source_port = load_be<std::uint16_t>(&bytes[0]),
             .target_port = load_be<std::uint16_t>(&bytes[2]),
             .sequence = load_be<std::uint32_t>(&bytes[4]),
             .acknowledgment = load_be<std::uint32_t>(&bytes[8]),
             .fin = (flags & 0x01) != 0,
             .syn = (flags & 0x02) != 0,
             .rst = (flags & 0x04) != 0,
             .ack = (flags & 0x10) != 0,
             .header_bytes = header,
             .data = bytes.subspan(header)};
}

// ports (2, 2) || length (2) || checksum (2) || data
Parsed<Udp> parse_udp(const Packet& packet, const VirtioHeader& offload) {
  if (const auto bad = expect(packet, kUdp)) return *bad;
  if (packet.transport.size() < kUdpHeader) return Malformed::kUdpLength;
  const auto length = load_be<std::uint16_t>(&packet.transport[4]);
  if (length < kUdpHeader || length > packet.transport.size()) return Malformed::kUdpLength;
  const ByteView bytes = packet.transport.first(length);
  const bool none = bytes[6] == 0 && bytes[7] == 0;
  const bool settled = (offload.flags & (VirtioHeader::kNeedsCsum | VirtioHeader::kDataValid)) != 0;
  if (!settled && none && !packet.is_ipv4()) return Malformed::kUdpChecksum;
  if (!settled && !none) {
    const std::uint64_t sum = pseudo_header(packet.source, packet.target, kUdp, length);
    if (!is_good(add_bytes(sum, bytes))) return Malformed::kUdpChecksum;
  }
  return Udp{.source_port = load_be<std::uint16_t>(&bytes[0]),
             .target_port = load_be<std::uint16_t>(&bytes[2]),
             .data = bytes.subspan(kUdpHeader)};
}

// type (1) || code (1) || checksum (2) || id (2) || sequence (2) || data
Parsed<Echo> parse_echo(const Packet& packet) {
  constexpr std::uint8_t kRequest = 8;
  constexpr std::uint8_t kRequestV6 = 128;
  if (const auto bad = expect(packet, packet.is_ipv4() ? kIcmp : kIcmpV6)) return *bad;
  const ByteView bytes = packet.transport;
  if (bytes.size() < kEchoHeader) return Malformed::kIcmpHeader;
  const std::uint64_t sum =
      packet.is_ipv4() ? 0 : pseudo_header(packet.source, packet.target, kIcmpV6, bytes.size());
  if (!is_good(add_bytes(sum, bytes))) return Malformed::kIcmpChecksum;
  if (bytes[0] != (packet.is_ipv4() ? kRequest : kRequestV6) || bytes[1] != 0) return Malformed::kNotEcho;
  return Echo{.id = load_be<std::uint16_t>(&bytes[4]),
              .sequence = load_be<std::uint16_t>(&bytes[6]),
              .data = bytes.subspan(kEchoHeader)};
}

}  // namespace zks::packet
