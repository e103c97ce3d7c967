// SPDX-License-Identifier: MIT
//
// Why a packet is dropped. Whoever parses counts these by their number.
#pragma once

#include <cstdint>

#include <boost/system/result.hpp>

namespace zks::packet {

enum class Malformed : std::uint8_t {
  kCutShort,         // ends within the IP header
  kVersion,          // neither IPv4 nor IPv6
  kHeaderLength,     // IPv4: IHL below 5
  kTotalLength,      // says more than there is, or less than its own header
  kHeaderChecksum,   // IPv4
  kExtensionHeader,  // IPv6: cut short, too many, or out of order
  kSourceRoute,      // its destination is not where it is to go in the end
  kFragmentSize,     // not a multiple of 8, or beyond 65,535 bytes
  kFragment,         // a fragment where only a whole packet can be read
  kOffload,          // the virtio-net header does not fit the packet
  kProtocol,         // not TCP, UDP or ICMP, where that was expected
  kTcpHeader,        // cut short, or an impossible data offset
  kUdpLength,        // cut short, or a length that is not there
  kUdpChecksum,      // wrong, or none over IPv6
  kIcmpHeader,       // cut short
  kIcmpChecksum,
  kNotEcho,  // ICMP, but no echo request
};
inline constexpr std::size_t kMalformedReasons = 17;

const char* describe(Malformed reason);  // "wrong UDP checksum", for counters and logs

template <class T>
using Parsed = boost::system::result<T, Malformed>;

// Needed by boost::system::result::value(): calling it on an error is a bug of ours, so it throws.
[[noreturn]] void throw_exception_from_error(Malformed reason, const boost::source_location& where);

}  // namespace zks::packet
