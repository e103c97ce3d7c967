// SPDX-License-Identifier: MIT
//
// The IP header of a packet from a TUN device, IPv4 (RFC 791) or IPv6 with its extension headers (RFC 8200):
// where it comes from and goes to, and what is above. Everything is a view into the caller's bytes, which are
// hostile: nothing is read that was not checked to be there. transport.hpp reads on from here.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"
#include "packet/malformed.hpp"

namespace zks::packet {

// Protocol numbers, and IPv6 next headers, that are looked at here.
inline constexpr std::uint8_t kHopByHop = 0;
inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint8_t kRouting = 43;
inline constexpr std::uint8_t kFragmentHeader = 44;
inline constexpr std::uint8_t kIcmpV6 = 58;
inline constexpr std::uint8_t kDestinationOptions = 60;

inline constexpr std::size_t kIpv4Header = 20;  // without options
inline constexpr std::size_t kIpv6Header = 40;  // without extension headers
inline constexpr std::size_t kFragmentHeaderBytes = 8;
inline constexpr std::size_t kMaxPacket = 65'535;  // IPv4; IPv6 counts without its header
inline constexpr std::size_t kMaxExtensionHeaders = 8;

// Of a packet that is a part of another. reassembly.hpp puts them together.
struct Fragment {
  std::uint32_t id = 0;
  std::uint16_t offset = 0;     // of `data` in the whole's, in bytes
  bool more = false;            // others come after this
  std::uint8_t protocol = 0;    // of the whole's data: IPv4, of the header; IPv6, of the fragment header
  std::size_t header = 0;       // bytes before it that the whole has, too: the first of Packet::whole
  std::size_t next_header = 0;  // IPv6: where in these the fragment header is named
  ByteView data;                // empty only where nothing follows
};

struct Packet {
  ByteView whole;  // what came behind the packet is cut
  IpAddress source;
  IpAddress target;
  std::uint8_t protocol = 0;  // of what `transport` begins with
  std::uint8_t hop_limit = 0;
  bool may_fragment = false;         // IPv4 without DF
  std::optional<Fragment> fragment;  // none: it is whole, IPv6's "atomic" fragments included (RFC 6946)
  ByteView transport;                // header and payload; of a fragment, what it has of them

  bool is_ipv4() const { return source.is_ipv4(); }
  std::size_t transport_at() const { return whole.size() - transport.size(); }
};

Parsed<Packet> parse(ByteView ip_packet);

}  // namespace zks::packet
