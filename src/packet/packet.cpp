// SPDX-License-Identifier: MIT
#include "packet/packet.hpp"

#include "packet/checksum.hpp"

namespace zks::packet {
namespace {

// RFC 791, section 3.1. Hosts and routers refuse source routes, and so does this.
std::optional<Malformed> check_options(ByteView options) {
  constexpr std::uint8_t kEnd = 0;
  constexpr std::uint8_t kNop = 1;
  constexpr std::uint8_t kLooseSourceRoute = 131;
  constexpr std::uint8_t kStrictSourceRoute = 137;
  while (!options.empty() && options[0] != kEnd) {
    if (options[0] == kNop) {
      options = options.subspan(1);
      continue;
    }
    if (options[0] == kLooseSourceRoute || options[0] == kStrictSourceRoute) return Malformed::kSourceRoute;
    if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return Malformed::kHeaderLength;
    options = options.subspan(options[1]);
  }
  return std::nullopt;
}

// `room`: how many bytes of the whole's data fit behind its header.
bool is_possible(const Fragment& fragment, std::size_t room) {
  const std::size_t size = fragment.data.size();
  return size > 0 && (!fragment.more || size % 8 == 0) && fragment.offset + size <= room;
}

Parsed<Packet> parse_ipv4(ByteView bytes) {
  if (bytes.size() < kIpv4Header) return Malformed::kCutShort;
  const std::size_t header = std::size_t{4} * (bytes[0] & 0x0f);
  if (header < kIpv4Header) return Malformed::kHeaderLength;
  if (bytes.size() < header) return Malformed::kCutShort;
  const auto total = load_be<std::uint16_t>(&bytes[2]);
  if (total < header || total > bytes.size()) return Malformed::kTotalLength;
  if (!is_good(add_bytes(0, bytes.first(header)))) return Malformed::kHeaderChecksum;
  if (const auto bad = check_options(bytes.subspan(kIpv4Header, header - kIpv4Header))) return *bad;

  constexpr std::uint16_t kDontFragment = 0x4000;
  constexpr std::uint16_t kMoreFragments = 0x2000;
  constexpr std::uint16_t kOffset = 0x1fff;
  const auto flags = load_be<std::uint16_t>(&bytes[6]);
  Packet out{.whole = bytes.first(total),
             .source = make_ipv4(&bytes[12]),
             .target = make_ipv4(&bytes[16]),
             .protocol = bytes[9],
             .hop_limit = bytes[8],
             .may_fragment = (flags & kDontFragment) == 0,
             .fragment = std::nullopt,
             .transport = bytes.first(total).subspan(header)};
  if ((flags & (kMoreFragments | kOffset)) == 0) return out;
  out.fragment = Fragment{.id = load_be<std::uint16_t>(&bytes[4]),
                          .offset = static_cast<std::uint16_t>(8 * (flags & kOffset)),
                          .more = (flags & kMoreFragments) != 0,
                          .protocol = bytes[9],
                          .header = header,
                          .data = out.transport};
  if (!is_possible(*out.fragment, kMaxPacket - header)) return Malformed::kFragmentSize;
  return out;
}

// The chain of extension headers (RFC 8200, section 4), up to what is none.
class ExtensionHeaders {
 public:
  explicit ExtensionHeaders(Packet& packet) : packet_(packet), bytes_(packet.whole) {}

  std::optional<Malformed> walk() {
    for (std::size_t count = 0; is_extension(bytes_[named_at_]); ++count) {
      if (count == kMaxExtensionHeaders) return Malformed::kExtensionHeader;
      if (const auto bad = pass()) return bad;
      if (packet_.fragment && packet_.fragment->offset > 0) break;  // what follows is from the middle
    }
    packet_.protocol = bytes_[named_at_];
    packet_.transport = bytes_.subspan(at_);
    return std::nullopt;
  }

 private:
  static bool is_extension(std::uint8_t next) {
    return next == kHopByHop || next == kRouting || next == kFragmentHeader || next == kDestinationOptions;
  }

  std::optional<Malformed> pass() {
    constexpr std::size_t kLeast = 8;
    if (bytes_.size() - at_ < kLeast) return Malformed::kExtensionHeader;
    const std::uint8_t kind = bytes_[named_at_];
    if (kind == kFragmentHeader) return pass_fragment();
    if (kind == kHopByHop && at_ != kIpv6Header) return Malformed::kExtensionHeader;
    const std::size_t size = kLeast * (1 + std::size_t{bytes_[at_ + 1]});
    if (bytes_.size() - at_ < size) return Malformed::kExtensionHeader;
    const std::uint8_t segments_left = bytes_[at_ + 3];
    if (kind == kRouting && segments_left != 0) return Malformed::kSourceRoute;
    named_at_ = at_;
    at_ += size;
    return std::nullopt;
  }

  // next header (1) || reserved (1) || offset (13 bits), reserved (2), more (1) || id (4)
  std::optional<Malformed> pass_fragment() {
    if (packet_.fragment) return Malformed::kExtensionHeader;
    const auto field = load_be<std::uint16_t>(&bytes_[at_ + 2]);
    const Fragment fragment{.id = load_be<std::uint32_t>(&bytes_[at_ + 4]),
                            .offset = static_cast<std::uint16_t>(field & 0xfff8),
                            .more = (field & 1) != 0,
                            .protocol = bytes_[at_],
                            .header = at_,
                            .next_header = named_at_,
                            .data = bytes_.subspan(at_ + 8)};
    const bool whole = fragment.offset == 0 && !fragment.more;
    if (!whole && !is_possible(fragment, kMaxPacket - (at_ - kIpv6Header))) return Malformed::kFragmentSize;
    if (!whole) packet_.fragment = fragment;
    named_at_ = at_;
    at_ += 8;
    return std::nullopt;
  }

  Packet& packet_;
  ByteView bytes_;
  std::size_t named_at_ = 6;  // the byte that says what stands at at_
  std::size_t at_ = kIpv6Header;
};

Parsed<Packet> parse_ipv6(ByteView bytes) {
  if (bytes.size() < kIpv6Header) return Malformed::kCutShort;
  const std::size_t total = kIpv6Header + load_be<std::uint16_t>(&bytes[4]);
  if (total > bytes.size()) return Malformed::kTotalLength;
  Packet out{.whole = bytes.first(total),
             .source = make_ipv6(&bytes[8]),
             .target = make_ipv6(&bytes[24]),
             .hop_limit = bytes[7],
             .fragment = std::nullopt,
             .transport = {}};
  if (const auto bad = ExtensionHeaders(out).walk()) return *bad;
  return out;
}

}  // namespace

Parsed<Packet> parse(ByteView ip_packet) {
  if (ip_packet.empty()) return Malformed::kCutShort;
  switch (ip_packet[0] >> 4) {
    case 4:
      return parse_ipv4(ip_packet);
    case 6:
      return parse_ipv6(ip_packet);
    default:
      return Malformed::kVersion;
  }
}

}  // namespace zks::packet
