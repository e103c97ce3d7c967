// SPDX-License-Identifier: MIT
//
// The Internet checksum (RFC 1071) and the pseudo-headers of UDP, TCP and ICMPv6 (RFC 768, RFC 8200, section
// 8.1). Sums are native 16-bit words added up with the carry kept, in network order of bytes throughout: what
// fold() returns is stored with memcpy, not with store_be.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"

namespace zks::packet {

// Adds `bytes` to `sum`; all but the last view that is added must have an even length.
std::uint64_t add_bytes(std::uint64_t sum, ByteView bytes);
// Source, target, protocol and `length` of what is above IP: where the sum of UDP, TCP and ICMPv6 begins.
std::uint64_t pseudo_header(const IpAddress& source, const IpAddress& target, std::uint8_t protocol,
                            std::size_t length);
// To 16 bits, not complemented.
std::uint16_t fold(std::uint64_t sum);
// Stores the complement of `sum`, as a checksum field holds it, at `to`.
void store_checksum(std::uint64_t sum, std::uint8_t* to);
// The sum over a message with its checksum in it is 0xffff.
inline bool is_good(std::uint64_t sum) {
  return fold(sum) == 0xffff;
}

}  // namespace zks::packet
