// SPDX-License-Identifier: MIT
//
// Packets that are written to a TUN device: UDP datagrams, echo replies, and what a host or a router answers
// where nothing can be delivered. All go into the caller's buffer; 0 means that nothing was written, because
// it does not fit or must not be sent.
#pragma once

#include <array>
#include <optional>

#include "packet/transport.hpp"

namespace zks::packet {

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// The least that every link carries, and what fragments are cut to when a smaller MTU is given.
inline constexpr std::size_t kMinMtuV4 = 576;
inline constexpr std::size_t kMinMtuV6 = 1280;

inline constexpr std::uint8_t kHopLimit = 64;  // of what begins here

// What is above IP, checksum included: UDP and echo both have a header of 8 bytes. `data` must outlive it.
struct Message {
  IpAddress source;
  IpAddress target;
  std::uint8_t protocol = 0;
  std::uint8_t hop_limit = kHopLimit;
  std::array<std::uint8_t, 8> header{};
  ByteView data;

  std::size_t size() const { return header.size() + data.size(); }
};
// Null: the families differ, or it is longer than one packet can be.
std::optional<Message> udp_message(const Endpoint& source, const Endpoint& target, ByteView data);
// The answer to `request`, which went from `target` to `source`.
std::optional<Message> echo_reply(const IpAddress& source, const IpAddress& target, const Echo& request);

// As one packet, DF set: at most kIpv6Header + kMaxPacket bytes.
std::size_t build(const Message& message, MutableBytes out);

// A message as packets of at most `mtu` bytes: one, or fragments (at most 120). `id` must not be one
// that fragments between the same hosts had lately. `message` must outlive it.
class Fragments {
 public:
  Fragments(const Message& message, std::size_t mtu, std::uint32_t id);
  // The next packet's size; 0: there are no more, or `out` is smaller than the MTU.
  std::size_t next(MutableBytes out);

 private:
  const Message& message_;
  std::size_t most_;  // of the message in a fragment
  std::size_t offset_ = 0;
  std::uint32_t id_;
};

// Datagrams of `segment_bytes` each, the last one perhaps shorter, as one packet for a device with USO, and
// the virtio-net header that says so. One datagram needs no GSO, and gets just NEEDS_CSUM.
std::size_t build_udp_segments(const Endpoint& source, const Endpoint& target, ByteView data,
                               std::uint16_t segment_bytes, VirtioHeader& offload, MutableBytes out);

// RST in answer to a segment for which there is no connection (RFC 9293, section 3.10.7.1). 0 also for a RST
// and for addresses that are not one host's.
std::size_t build_reset(const Packet& packet, const Tcp& segment, MutableBytes out);

// A type and code of ICMP, or of ICMPv6 for IPv6 packets. What an exit passes on is put in as it came, as
// long as it is an error: 3, 11 or 12; ICMPv6 1 to 4.
struct IcmpMessage {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t mtu = 0;  // of "fragmentation needed" and "packet too big"
};
enum class Unreachable : std::uint8_t { kNetwork, kHost, kPort, kProhibited };
IcmpMessage unreachable(bool ipv4, Unreachable what);
IcmpMessage too_big(bool ipv4, std::uint32_t mtu);
IcmpMessage time_exceeded(bool ipv4);  // in transit

// An error from `from` to the source of `packet`, which it quotes: up to 576 bytes in all (RFC 1812, section
// 4.3.2.3), for IPv6 up to 1280 (RFC 4443). 0 for what may not be answered (RFC 1122, section 3.2.2; RFC
// 4443, section 2.4): ICMP errors, fragments but the first, what was sent to more than one host or from an
// address that is not one host's. For a datagram that is no longer at hand, build() it without data and parse
// that.
std::size_t build_icmp_error(const Packet& packet, const IcmpMessage& message, const IpAddress& from,
                             MutableBytes out);

}  // namespace zks::packet
