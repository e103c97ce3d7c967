// SPDX-License-Identifier: MIT
#include "packet/build.hpp"

#include "packet/checksum.hpp"

namespace zks::packet {
namespace {

// More than one packet may be made of what is above IP; this says which part a packet has.
struct Part {
  std::uint32_t id = 0;
  std::size_t offset = 0;
  bool more = false;
};

std::size_t ip_header(bool ipv4) {
  return ipv4 ? kIpv4Header : kIpv6Header;
}

// What the length field of the header can say.
std::size_t most_above(bool ipv4) {
  return ipv4 ? kMaxPacket - kIpv4Header : kMaxPacket;
}

void put(ByteView bytes, std::uint8_t* to) {
  std::copy(bytes.begin(), bytes.end(), to);
}

// Without a part it is an atomic packet, whose id means nothing (RFC 6864, section 4.1).
void write_ipv4(const IpAddress& source, const IpAddress& target, std::uint8_t protocol,
                std::uint8_t hop_limit, std::size_t length, const std::optional<Part>& part,
                std::uint8_t* out) {
  constexpr std::uint16_t kDontFragment = 0x4000;
  constexpr std::uint16_t kMoreFragments = 0x2000;
  std::fill_n(out, kIpv4Header, std::uint8_t{0});
  out[0] = 0x45;
  store_be(static_cast<std::uint16_t>(kIpv4Header + length), out + 2);
  if (part) {
    store_be(static_cast<std::uint16_t>(part->id), out + 4);
    store_be(static_cast<std::uint16_t>((part->more ? kMoreFragments : 0) | (part->offset / 8)), out + 6);
  } else {
    store_be(kDontFragment, out + 6);
  }
  out[8] = hop_limit;
  out[9] = protocol;
  put(ByteView(source.bytes).first(4), out + 12);
  put(ByteView(target.bytes).first(4), out + 16);
  store_checksum(add_bytes(0, {out, kIpv4Header}), out + 10);
}

void write_ipv6(const IpAddress& source, const IpAddress& target, std::uint8_t next, std::uint8_t hop_limit,
                std::size_t length, std::uint8_t* out) {
  std::fill_n(out, kIpv6Header, std::uint8_t{0});
  out[0] = 0x60;
  store_be(static_cast<std::uint16_t>(length), out + 4);
  out[6] = next;
  out[7] = hop_limit;
  put(source.bytes, out + 8);
  put(target.bytes, out + 24);
}

// The header of an atomic packet: its size, which is all of the packet that is written. 0: no room.
std::size_t begin(const IpAddress& source, const IpAddress& target, std::uint8_t protocol, std::size_t length,
                  MutableBytes out, std::uint8_t hop_limit = kHopLimit) {
  const std::size_t header = ip_header(source.is_ipv4());
  if (source.family != target.family || header + length > out.size()) return 0;
  if (length > most_above(source.is_ipv4())) return 0;
  if (source.is_ipv4()) {
    write_ipv4(source, target, protocol, hop_limit, length, std::nullopt, out.data());
  } else {
    write_ipv6(source, target, protocol, hop_limit, length, out.data());
  }
  return header;
}

// The bytes from `offset` on of header and data taken together.
void copy_part(const Message& message, std::size_t offset, MutableBytes out) {
  if (offset < message.header.size()) {
    const ByteView head = ByteView(message.header).subspan(offset);
    put(head, out.data());
    put(message.data.first(out.size() - head.size()), out.data() + head.size());
  } else {
    put(message.data.subspan(offset - message.header.size(), out.size()), out.data());
  }
}

// RFC 1122, section 3.2.2: not zero, loopback, broadcast, multicast or class E. The broadcast address of a
// subnet can't be told from a host's here.
bool is_one_host(const IpAddress& address) {
  if (address.is_ipv4()) return address.bytes[0] != 0 && address.bytes[0] != 127 && address.bytes[0] < 224;
  static const IpAddress kUnspecified = make_ipv6(std::array<std::uint8_t, 16>{}.data());
  return address.bytes[0] != 0xff && address != kUnspecified;
}

bool is_error(bool ipv4, std::uint8_t type) {
  return ipv4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

// ICMP that must not be answered with an error: errors and redirects, and what does not say what it is.
bool is_icmp_error(const Packet& packet) {
  if (packet.protocol != (packet.is_ipv4() ? kIcmp : kIcmpV6)) return false;
  if (packet.transport.empty()) return true;
  constexpr std::uint8_t kSourceQuench = 4;
  constexpr std::uint8_t kRedirect = 5;
  constexpr std::uint8_t kRedirectV6 = 137;
  constexpr std::uint8_t kInformational = 128;
  const std::uint8_t type = packet.transport[0];
  if (!packet.is_ipv4()) return type < kInformational || type == kRedirectV6;
  return is_error(true, type) || type == kSourceQuench || type == kRedirect;
}

bool may_be_answered(const Packet& packet, const IcmpMessage& message) {
  constexpr std::uint8_t kPacketTooBig = 2;  // is sent for multicast, too: path MTU discovery needs it
  const bool to_many = !is_one_host(packet.target) && (packet.is_ipv4() || message.type != kPacketTooBig);
  const bool in_the_middle = packet.fragment && packet.fragment->offset > 0;
  return !to_many && !in_the_middle && is_one_host(packet.source) && !is_icmp_error(packet);
}

}  // namespace

std::optional<Message> udp_message(const Endpoint& source, const Endpoint& target, ByteView data) {
  if (source.address.family != target.address.family) return std::nullopt;
  if (kUdpHeader + data.size() > most_above(source.address.is_ipv4())) return std::nullopt;
  Message out{.source = source.address, .target = target.address, .protocol = kUdp, .data = data};
  store_be(source.port, &out.header[0]);
  store_be(target.port, &out.header[2]);
  store_be(static_cast<std::uint16_t>(out.size()), &out.header[4]);
  const std::uint64_t sum = pseudo_header(out.source, out.target, kUdp, out.size());
  store_checksum(add_bytes(add_bytes(sum, out.header), data), &out.header[6]);
  if (out.header[6] == 0 && out.header[7] == 0) out.header[6] = out.header[7] = 0xff;  // 0: there is none
  return out;
}

std::optional<Message> echo_reply(const IpAddress& source, const IpAddress& target, const Echo& request) {
  constexpr std::uint8_t kReply = 0;
  constexpr std::uint8_t kReplyV6 = 129;
  const bool ipv4 = source.is_ipv4();
  if (source.family != target.family || kEchoHeader + request.data.size() > most_above(ipv4)) {
    return std::nullopt;
  }
  Message out{.source = source, .target = target, .protocol = ipv4 ? kIcmp : kIcmpV6, .data = request.data};
  out.header[0] = ipv4 ? kReply : kReplyV6;
  store_be(request.id, &out.header[4]);
  store_be(request.sequence, &out.header[6]);
  const std::uint64_t sum = ipv4 ? 0 : pseudo_header(source, target, kIcmpV6, out.size());
  store_checksum(add_bytes(add_bytes(sum, out.header), request.data), &out.header[2]);
  return out;
}

std::size_t build(const Message& message, MutableBytes out) {
  const std::size_t header =
      begin(message.source, message.target, message.protocol, message.size(), out, message.hop_limit);
  if (header == 0) return 0;
  copy_part(message, 0, out.subspan(header, message.size()));
  return header + message.size();
}

Fragments::Fragments(const Message& message, std::size_t mtu, std::uint32_t id) : message_(message), id_(id) {
  const bool ipv4 = message.source.is_ipv4();
  mtu = std::max(mtu, ipv4 ? kMinMtuV4 : kMinMtuV6);
  most_ = mtu - ip_header(ipv4);
  if (message.size() > most_) most_ = (most_ - (ipv4 ? 0 : kFragmentHeaderBytes)) / 8 * 8;
}

std::size_t Fragments::next(MutableBytes out) {
  const std::size_t left = message_.size() - offset_;
  if (left == 0) return 0;
  if (offset_ == 0 && left <= most_) {
    const std::size_t size = build(message_, out);
    if (size > 0) offset_ = message_.size();
    return size;
  }
  const bool ipv4 = message_.source.is_ipv4();
  const std::size_t header = ip_header(ipv4) + (ipv4 ? 0 : kFragmentHeaderBytes);
  const std::size_t length = std::min(left, most_);
  if (out.size() < header + length) return 0;
  const Part part{.id = id_, .offset = offset_, .more = length < left};
  if (ipv4) {
    write_ipv4(message_.source, message_.target, message_.protocol, message_.hop_limit, length, part,
               out.data());
  } else {
    write_ipv6(message_.source, message_.target, kFragmentHeader, message_.hop_limit,
               kFragmentHeaderBytes + length, out.data());
    std::uint8_t* fragment = out.data() + kIpv6Header;
    fragment[0] = message_.protocol;
    fragment[1] = 0;
    store_be(static_cast<std::uint16_t>(part.offset | (part.more ? 1 : 0)), fragment + 2);
    store_be(part.id, fragment + 4);
  }
  copy_part(message_, offset_, out.subspan(header, length));
  offset_ += length;
  return header + length;
}

std::size_t build_udp_segments(const Endpoint& source, const Endpoint& target, ByteView data,
                               std::uint16_t segment_bytes, VirtioHeader& offload, MutableBytes out) {
  const std::size_t length = kUdpHeader + data.size();
  if (segment_bytes == 0 || data.size() > kMaxUdpSegmentsSent * segment_bytes) return 0;
  const std::size_t header = begin(source.address, target.address, kUdp, length, out);
  if (header == 0) return 0;
  std::uint8_t* udp = out.data() + header;
  store_be(source.port, udp);
  store_be(target.port, udp + 2);
  store_be(static_cast<std::uint16_t>(length), udp + 4);
  const std::uint16_t partial = fold(pseudo_header(source.address, target.address, kUdp, length));
  std::memcpy(udp + 6, &partial, sizeof partial);
  put(data, udp + kUdpHeader);
  const bool several = data.size() > segment_bytes;
  offload = {
      .flags = VirtioHeader::kNeedsCsum,
      .gso_type = static_cast<std::uint8_t>(several ? VirtioHeader::Gso::kUdpL4 : VirtioHeader::Gso::kNone),
      .hdr_len = static_cast<std::uint16_t>(header + kUdpHeader),
      .gso_size = several ? segment_bytes : std::uint16_t{0},
      .csum_start = static_cast<std::uint16_t>(header),
      .csum_offset = 6};
  return header + length;
}

std::size_t build_reset(const Packet& packet, const Tcp& segment, MutableBytes out) {
  constexpr std::uint8_t kRst = 0x04;
  constexpr std::uint8_t kAck = 0x10;
  if (segment.rst || !is_one_host(packet.source) || !is_one_host(packet.target)) return 0;
  const std::size_t header = begin(packet.target, packet.source, kTcp, kTcpHeader, out);
  if (header == 0) return 0;
  std::uint8_t* tcp = out.data() + header;
  std::fill_n(tcp, kTcpHeader, std::uint8_t{0});
  store_be(segment.target_port, tcp);
  store_be(segment.source_port, tcp + 2);
  if (segment.ack) {
    store_be(segment.acknowledgment, tcp + 4);  // <SEQ=SEG.ACK><CTL=RST>
  } else {
    const std::size_t length = segment.data.size() + (segment.syn ? 1 : 0) + (segment.fin ? 1 : 0);
    store_be(static_cast<std::uint32_t>(segment.sequence + length), tcp + 8);  // <SEQ=0><ACK=SEG.SEQ+SEG.LEN>
  }
  tcp[12] = (kTcpHeader / 4) << 4;
  tcp[13] = segment.ack ? kRst : kRst | kAck;
  const std::uint64_t sum = pseudo_header(packet.target, packet.source, kTcp, kTcpHeader);
  store_checksum(add_bytes(sum, {tcp, kTcpHeader}), tcp + 16);
  return header + kTcpHeader;
}

IcmpMessage unreachable(bool ipv4, Unreachable what) {
  switch (what) {
    case Unreachable::kNetwork:  // ICMPv6: no route to destination
      return ipv4 ? IcmpMessage{3, 0} : IcmpMessage{1, 0};
    case Unreachable::kHost:  // ICMPv6: address unreachable
      return ipv4 ? IcmpMessage{3, 1} : IcmpMessage{1, 3};
    case Unreachable::kPort:
      return ipv4 ? IcmpMessage{3, 3} : IcmpMessage{1, 4};
    case Unreachable::kProhibited:
      break;
  }
  return ipv4 ? IcmpMessage{3, 13} : IcmpMessage{1, 1};
}

IcmpMessage too_big(bool ipv4, std::uint32_t mtu) {
  return ipv4 ? IcmpMessage{3, 4, mtu} : IcmpMessage{2, 0, mtu};
}

IcmpMessage time_exceeded(bool ipv4) {
  return ipv4 ? IcmpMessage{11, 0} : IcmpMessage{3, 0};
}

std::size_t build_icmp_error(const Packet& packet, const IcmpMessage& message, const IpAddress& from,
                             MutableBytes out) {
  const bool ipv4 = packet.is_ipv4();
  if (!is_error(ipv4, message.type) || !may_be_answered(packet, message)) return 0;
  const std::size_t most = (ipv4 ? kMinMtuV4 : kMinMtuV6) - ip_header(ipv4) - kIcmpErrorHeader;
  const ByteView quoted = packet.whole.first(std::min(most, packet.whole.size()));
  const std::size_t length = kIcmpErrorHeader + quoted.size();
  const std::size_t header = begin(from, packet.source, ipv4 ? kIcmp : kIcmpV6, length, out);
  if (header == 0) return 0;
  std::uint8_t* icmp = out.data() + header;
  std::fill_n(icmp, kIcmpErrorHeader, std::uint8_t{0});
  icmp[0] = message.type;
  icmp[1] = message.code;
  const bool has_mtu = ipv4 ? message.type == 3 && message.code == 4 : message.type == 2;
  if (has_mtu && ipv4) {
    store_be(static_cast<std::uint16_t>(std::min<std::uint32_t>(message.mtu, 0xffff)), icmp + 6);
  } else if (has_mtu) {
    store_be(message.mtu, icmp + 4);
  }
  put(quoted, icmp + kIcmpErrorHeader);
  const std::uint64_t sum = ipv4 ? 0 : pseudo_header(from, packet.source, kIcmpV6, length);
  store_checksum(add_bytes(sum, {icmp, length}), icmp + 2);
  return header + length;
}

}  // namespace zks::packet
