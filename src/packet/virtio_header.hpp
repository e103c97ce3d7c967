// SPDX-License-Identifier: MIT
//
// The virtio-net header (VIRTIO 1.2, 5.1.6) before each packet of a TUN device with IFF_VNET_HDR: what of it
// the kernel left to be done, or may be left to it. <linux/virtio_net.h> has a field called `class`.
//
//   flags (1) || gso_type (1) || hdr_len (2) || gso_size (2) || csum_start (2) || csum_offset (2), in the
//   host's byte order
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "packet/malformed.hpp"

namespace zks::packet {

struct Packet;

struct VirtioHeader {
  enum class Gso : std::uint8_t { kNone = 0, kTcpV4 = 1, kUdpFragments = 3, kTcpV6 = 4, kUdpL4 = 5 };
  static constexpr std::uint8_t kNeedsCsum = 1;  // the field holds the pseudo-header's sum, not complemented
  static constexpr std::uint8_t kDataValid = 2;  // the checksum was found right
  static constexpr std::uint8_t kEcn = 0x80;     // in gso_type: TCP with CWR

  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t hdr_len = 0;  // a hint: IP and transport header
  std::uint16_t gso_size = 0;
  std::uint16_t csum_start = 0;
  std::uint16_t csum_offset = 0;  // from csum_start

  bool needs_csum() const { return (flags & kNeedsCsum) != 0; }
  Gso gso() const { return static_cast<Gso>(gso_type & ~kEcn); }

  friend bool operator==(const VirtioHeader&, const VirtioHeader&) = default;
};
inline constexpr std::size_t kVirtioHeader = 10;

// A kernel takes UDP_MAX_SEGMENTS datagrams for one packet: 64, since Linux 6.9 128.
inline constexpr std::size_t kMaxUdpSegments = 128;
inline constexpr std::size_t kMaxUdpSegmentsSent = 64;

// From the first kVirtioHeader bytes; null when there are not as many.
std::optional<VirtioHeader> decode_virtio_header(ByteView bytes);
// kVirtioHeader, or 0 when that does not fit.
std::size_t encode_virtio_header(const VirtioHeader& header, MutableBytes out);

// kOffload unless the checksum is the one of the packet's TCP or UDP header, or of another that lies within
// it, and the kind of GSO is one for its protocol, with a size that means something.
Parsed<void> check(const VirtioHeader& header, const Packet& packet);

}  // namespace zks::packet
