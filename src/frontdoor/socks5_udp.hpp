// SPDX-License-Identifier: MIT
//
// The header that a SOCKS5 client puts before each datagram to the relay socket, and gets before each answer
// (RFC 1928, section 7). Sans-IO; udp_association.hpp moves the datagrams.
//
//   reserved 0 (2) | fragment (1) | type (1) | address | port (2) | the datagram's bytes
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "session/destination.hpp"

namespace zks::frontdoor {

// The longest header: a name of 255 bytes.
inline constexpr std::size_t kMaxSocks5UdpHeader = 4 + 1 + 255 + 2;

struct Socks5Datagram {
  session::Destination address;
  ByteView bytes;  // into what was parsed
};

// Nothing for what is to be dropped: cut short, of an unknown type, without a port, with a name that is none,
// or a fragment ("an implementation that does not support fragmentation MUST drop any datagram whose FRAG
// field is other than X'00'").
std::optional<Socks5Datagram> parse_socks5_datagram(ByteView received);

// The header of an answer from `source`, which is an address. False without room.
bool write_socks5_udp_header(ByteWriter& out, const session::Destination& source);

}  // namespace zks::frontdoor
