// SPDX-License-Identifier: MIT
#include "packet/virtio_header.hpp"

#include "packet/transport.hpp"

namespace zks::packet {
namespace {

static_assert(sizeof(VirtioHeader) == kVirtioHeader);

bool checksum_fits(const VirtioHeader& header, const Packet& packet) {
  constexpr std::size_t kTcpChecksum = 16;
  constexpr std::size_t kUdpChecksum = 6;
  if (packet.fragment) return false;  // a part can't be summed up for the whole
  const bool known = packet.protocol == kTcp || packet.protocol == kUdp;
  const std::size_t field = packet.protocol == kTcp ? kTcpChecksum : kUdpChecksum;
  if (known && (header.csum_start != packet.transport_at() || header.csum_offset != field)) return false;
  return header.csum_start >= packet.transport_at() &&
         std::size_t{header.csum_start} + header.csum_offset + 2 <= packet.whole.size();
}

bool gso_fits(const VirtioHeader& header, const Packet& packet) {
  const bool ecn = (header.gso_type & VirtioHeader::kEcn) != 0;
  if (header.gso_size == 0 || !header.needs_csum()) return false;
  switch (header.gso()) {
    case VirtioHeader::Gso::kTcpV4:
      return packet.is_ipv4() && packet.protocol == kTcp;
    case VirtioHeader::Gso::kTcpV6:
      return !packet.is_ipv4() && packet.protocol == kTcp;
    case VirtioHeader::Gso::kUdpL4:
      return !ecn && packet.protocol == kUdp &&
             packet.transport.size() <= kUdpHeader + kMaxUdpSegments * header.gso_size;
    default:
      return false;
  }
}

}  // namespace

std::optional<VirtioHeader> decode_virtio_header(ByteView bytes) {
  if (bytes.size() < kVirtioHeader) return std::nullopt;
  VirtioHeader out;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out;
}

std::size_t encode_virtio_header(const VirtioHeader& header, MutableBytes out) {
  if (out.size() < kVirtioHeader) return 0;
  std::memcpy(out.data(), &header, sizeof header);
  return sizeof header;
}

Parsed<void> check(const VirtioHeader& header, const Packet& packet) {
  if (header.hdr_len > packet.whole.size()) return Malformed::kOffload;
  if (header.needs_csum() && !checksum_fits(header, packet)) return Malformed::kOffload;
  const bool none = header.gso_type == static_cast<std::uint8_t>(VirtioHeader::Gso::kNone);
  if (!none && !gso_fits(header, packet)) return Malformed::kOffload;
  return {};
}

}  // namespace zks::packet
