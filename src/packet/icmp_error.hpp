// SPDX-License-Identifier: MIT
//
// ICMP errors (RFC 792, RFC 1191, RFC 4443) about packets that were written to the TUN device: what was said,
// and which packet it is about, as far as it is quoted. Whoever sends one is not known, so nothing may follow
// from it before the quoted packet was recognised.
#pragma once

#include "packet/build.hpp"

namespace zks::packet {

// The packet that an error is about. It may be cut behind the first 8 bytes above IP, and its checksums may
// be those of another address, so they are not looked at.
struct Quoted {
  Endpoint source;  // ports: of TCP and UDP
  Endpoint target;
  std::uint8_t protocol = 0;
  std::uint8_t icmp_type = 0;  // of ICMP
  std::size_t length = 0;      // of the whole packet, as its header says
  bool may_fragment = false;   // IPv4 without DF
};

struct IcmpError {
  IcmpMessage said;  // the MTU: of "fragmentation needed" and "packet too big", 0 from an old router
  Quoted quoted;

  bool is_too_big() const;
};

// The checksum is verified. What is no error is kNotEcho, as in parse_echo(); a quotation that does not say
// what it quotes is kIcmpHeader: also one of a fragment but the first.
Parsed<IcmpError> parse_icmp_error(const Packet& packet);

}  // namespace zks::packet
