// SPDX-License-Identifier: MIT
//
// Packets of a TUN device. The first byte, modulo 3, chooses; from 128 on the checksums of IPv4 headers are
// put right, which no mutation would find:
//
//   0   a packet behind a virtio-net header, as it is read: whatever parses lies within the input, what
//   answers it
//       parses, is whole and goes back where it came from; what an ICMP error quotes is of its family
//   1   fragments, each as time (1) || length (2) || that many bytes: the reassembler stays within its
//   bounds, and
//       what it puts together is no fragment
//   2   a datagram of these bytes (source and target first) that is built, cut to fragments, put together in
//       another order and read again
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "packet/build.hpp"
#include "packet/checksum.hpp"
#include "packet/icmp_error.hpp"
#include "packet/reassembly.hpp"
#include "packet/udp_segments.hpp"

namespace {

using namespace zks;
using namespace zks::packet;

void require(bool holds) {
  if (!holds) std::abort();
}

bool within(ByteView inner, ByteView outer) {
  return inner.empty() ||
         (inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size());
}

Bytes repaired(ByteView bytes, bool wanted) {
  Bytes out(bytes.begin(), bytes.end());
  if (!wanted || out.size() < kIpv4Header || out[0] >> 4 != 4) return out;
  const std::size_t header = std::min<std::size_t>(4 * (out[0] & 0x0f), out.size());
  if (header < kIpv4Header) return out;
  out[10] = out[11] = 0;
  store_checksum(add_bytes(0, ByteView(out).first(header)), &out[10]);
  return out;
}

// What goes back to who sent `packet`.
void check_answer(ByteView answer, const Packet& packet) {
  const auto parsed = parse(answer);
  require(parsed && !parsed->fragment && parsed->whole.size() == answer.size());
  require(parsed->target == packet.source);
}

void answer_tcp(const Packet& packet) {
  const auto segment = parse_tcp(packet);
  if (!segment) return;
  require(within(segment->data, packet.transport));
  Bytes out(100);
  const std::size_t size = build_reset(packet, *segment, out);
  require((size == 0) == segment->rst || size == 0);
  if (size == 0) return;
  check_answer(ByteView(out).first(size), packet);
  const Bytes bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
  const auto reset = parse_tcp(parse(bytes).value());
  require(reset && reset->rst && reset->target_port == segment->source_port);
}

void split_udp(const Packet& packet, const VirtioHeader& offload) {
  const auto datagram = parse_udp(packet, offload);
  if (!datagram) return;
  require(within(datagram->data, packet.transport));
  if (!check(offload, packet)) return;
  UdpSegments segments(datagram->data, offload);
  std::size_t count = 0;
  std::size_t bytes = 0;
  while (const auto segment = segments.next()) {
    require(within(*segment, datagram->data));
    bytes += segment->size();
    ++count;
  }
  require(bytes == datagram->data.size() && count >= 1 && count <= kMaxUdpSegments);
}

void answer_echo(const Packet& packet) {
  const auto request = parse_echo(packet);
  if (!request) return;
  require(within(request->data, packet.transport));
  const auto reply = echo_reply(packet.target, packet.source, *request);
  require(reply.has_value());
  Bytes out(kIpv6Header + kMaxPacket);
  const std::size_t size = build(*reply, out);
  require(size > 0);
  check_answer(ByteView(out).first(size), packet);
}

// As it is, and with the checksum that it should have.
void read_icmp_error(const Packet& packet, Bytes bytes) {
  const auto check = [](const Packet& one) {
    const auto error = parse_icmp_error(one);
    if (!error) return;
    const Quoted& quoted = error->quoted;
    require(quoted.source.address.family == one.source.family);
    require(quoted.target.address.family == one.source.family);
    require(quoted.protocol == kTcp || quoted.protocol == kUdp || quoted.source.port == 0);
    require(error->is_too_big() || error->said.mtu == 0);
  };
  check(packet);
  const std::size_t at = packet.transport_at();
  if (packet.fragment || packet.transport.size() < 4) return;
  const MutableBytes icmp = MutableBytes(bytes).subspan(at, packet.transport.size());
  icmp[2] = icmp[3] = 0;
  const std::uint64_t sum =
      packet.is_ipv4() ? 0 : pseudo_header(packet.source, packet.target, kIcmpV6, icmp.size());
  store_checksum(add_bytes(sum, icmp), &icmp[2]);
  const auto anew = parse(bytes);
  if (anew) check(*anew);
}

void read_packet(ByteView input, bool repair) {
  const auto offload = decode_virtio_header(input);
  if (!offload) return;
  Bytes header(kVirtioHeader);
  require(encode_virtio_header(*offload, header) == kVirtioHeader);
  require(std::equal(header.begin(), header.end(), input.begin()));
  const Bytes bytes = repaired(input.subspan(kVirtioHeader), repair);
  const auto packet = parse(bytes);
  if (!packet) return;
  require(within(packet->whole, bytes) && within(packet->transport, packet->whole));
  (void)check(*offload, *packet);
  answer_tcp(*packet);
  split_udp(*packet, *offload);
  split_udp(*packet, {});
  answer_echo(*packet);
  read_icmp_error(*packet, bytes);
  for (const IcmpMessage& message :
       {unreachable(packet->is_ipv4(), Unreachable::kPort), too_big(packet->is_ipv4(), 1280)}) {
    Bytes out(kMinMtuV6);
    const std::size_t size = build_icmp_error(*packet, message, packet->target, out);
    if (size == 0) continue;
    check_answer(ByteView(out).first(size), *packet);
    const auto error = parse(ByteView(out).first(size));
    require(build_icmp_error(*error, message, packet->source, out) == 0);  // none about an error
  }
}

void reassemble(ByteView input, bool repair) {
  Reassembler reassembler;
  Reassembler::TimePoint now{};
  ByteReader in(input);
  for (;;) {
    const auto time = in.u8();
    const auto length = in.u16();
    if (!time || !length) break;
    const Bytes bytes = repaired(*in.take(std::min<std::size_t>(*length, in.remaining())), repair);
    now += std::chrono::milliseconds(100) * *time;
    const auto packet = parse(bytes);
    if (!packet) continue;
    const auto whole = reassembler.add(*packet, now);
    require(reassembler.size() <= kMaxReassemblies && reassembler.bytes() <= kMaxReassemblyBytes);
    if (!whole) continue;
    const auto complete = parse(*whole);
    if (!complete) continue;  // IPv6: a chain of headers that goes wrong further on
    require(!complete->fragment && complete->source == packet->source && complete->target == packet->target);
  }
  reassembler.expire(now + kReassemblyTimeout);
  require(reassembler.size() == 0 && reassembler.bytes() == 0);
}

void go_round(ByteView input) {
  ByteReader in(input);
  const auto family = in.u8();
  const auto mtu = in.u16();
  const auto ports = in.array<4>();
  const auto ends = in.array<32>();
  if (!family || !mtu || !ports || !ends) return;
  const auto address = [&](std::size_t at) {
    return *family % 2 == 0 ? make_ipv4(ends->data() + at) : make_ipv6(ends->data() + at);
  };
  const Endpoint source{address(0), load_be<std::uint16_t>(ports->data())};
  const Endpoint target{address(16), load_be<std::uint16_t>(ports->data() + 2)};
  Bytes data(in.rest().begin(), in.rest().end());
  if (data.size() > 0 && *family >= 0x80)
    data.resize(std::min<std::size_t>(data.size() * 97, 65'507), data[0]);
  const auto message = udp_message(source, target, data);
  if (!message) return;

  std::vector<Bytes> packets;
  Fragments fragments(*message, *mtu, 7);
  Bytes out(std::max<std::size_t>(*mtu, kMinMtuV6));
  while (const std::size_t size = fragments.next(out))
    packets.emplace_back(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
  require(!packets.empty() && packets.size() <= 120);
  std::rotate(packets.begin(), packets.begin() + *mtu % packets.size(), packets.end());
  Reassembler reassembler;
  Bytes whole;
  for (const Bytes& bytes : packets) {
    const auto packet = parse(bytes);
    require(packet.has_value() && packet->fragment.has_value() == (packets.size() > 1));
    if (packets.size() == 1) whole = bytes;
    if (const auto complete = reassembler.add(*packet, {})) whole.assign(complete->begin(), complete->end());
  }
  const auto packet = parse(whole);
  require(packet.has_value() && packet->source == source.address && packet->target == target.address);
  const auto datagram = parse_udp(*packet);
  require(datagram.has_value() && datagram->source_port == source.port &&
          datagram->target_port == target.port);
  require(std::equal(datagram->data.begin(), datagram->data.end(), data.begin(), data.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  const bool repair = data[0] >= 0x80;
  if (data[0] % 3 == 0) read_packet(input, repair);
  if (data[0] % 3 == 1) reassemble(input, repair);
  if (data[0] % 3 == 2) go_round(input);
  return 0;
}
