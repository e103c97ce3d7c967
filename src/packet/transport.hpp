// SPDX-License-Identifier: MIT
//
// TCP (RFC 9293), UDP (RFC 768) and echo requests (RFC 792, RFC 4443) of a packet that packet.hpp has read
// and that is whole. A fragment is kFragment, another protocol kProtocol.
#pragma once

#include "packet/packet.hpp"
#include "packet/virtio_header.hpp"

namespace zks::packet {

inline constexpr std::size_t kTcpHeader = 20;  // without options
inline constexpr std::size_t kUdpHeader = 8;
inline constexpr std::size_t kEchoHeader = 8;
inline constexpr std::size_t kIcmpErrorHeader = 8;

// The checksum is not looked at: the kernel behind the second TUN does, or the packet came from one.
struct Tcp {
  std::uint16_t source_port = 0;
  std::uint16_t target_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  bool fin = false;
  bool syn = false;
  bool rst = false;
  bool ack = false;
  std::size_t header_bytes = 0;  // with options
  ByteView data;

  bool opens() const { return syn && !ack; }
};
Parsed<Tcp> parse_tcp(const Packet& packet);

// The checksum is verified unless `offload` says that there is none yet (NEEDS_CSUM) or that the kernel has
// (DATA_VALID). IPv4 may have none, IPv6 must (RFC 8200, section 8.1). With GSO, `data` is that of several
// datagrams: udp_segments.hpp.
struct Udp {
  std::uint16_t source_port = 0;
  std::uint16_t target_port = 0;
  ByteView data;
};
Parsed<Udp> parse_udp(const Packet& packet, const VirtioHeader& offload = {});

// An echo request, checksum verified; every other message is kNotEcho.
struct Echo {
  std::uint16_t id = 0;
  std::uint16_t sequence = 0;
  ByteView data;
};
Parsed<Echo> parse_echo(const Packet& packet);

}  // namespace zks::packet
