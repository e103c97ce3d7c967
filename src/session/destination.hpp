// SPDX-License-Identifier: MIT
//
// Where a stream goes, as OPEN carries it: a name for the exit to resolve, or an address; and the codes that
// end a stream early, with what they mean to SOCKS5 (RFC 1928, section 6) and to TCP.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace zks::session {

struct Destination {
  enum class Kind : std::uint8_t { kIpv4 = 1, kName = 3, kIpv6 = 4 };  // the numbers of RFC 1928, ATYP

  Kind kind = Kind::kName;
  std::string name;                        // kName: 1 to 255 bytes, no NUL, as the client sent it
  std::array<std::uint8_t, 16> address{};  // kIpv4: the first 4 bytes; kIpv6: all
  std::uint16_t port = 0;

  friend bool operator==(const Destination&, const Destination&) = default;
};

// RESET codes. 1 to 8 are SOCKS5 reply codes; the rest map to one of them.
enum class ResetCode : std::uint64_t {
  kCancelled = 0,  // the application went away: TCP RST
  kGeneralFailure = 1,
  kNotAllowed = 2,  // the exit's policy
  kNetworkUnreachable = 3,
  kHostUnreachable = 4,
  kConnectionRefused = 5,
  kTimedOut = 6,  // SOCKS5 "TTL expired", which is what clients show for a timeout
  kCommandNotSupported = 7,
  kAddressNotSupported = 8,
  kNameNotFound = 9,      // SOCKS5 4
  kConnectionReset = 10,  // the target sent RST
  kLimit = 11,            // too many streams; SOCKS5 1
  kSessionLost = 12,      // the session ended; SOCKS5 1
  kQuotaUsedUp = 13,      // this invite has used all that its operator gave it; SOCKS5 2
  kAddressInUse = 14,     // of a listener (UNLISTEN); SOCKS5 1
};

// "name:80", "192.0.2.1:80", "[2001:db8::1]:80", for logs; what is not printable in a name becomes '?'.
std::string to_text(const Destination& destination);

std::uint8_t socks5_reply(ResetCode code);
const char* describe(ResetCode code);  // "connection refused", for logs and `check`

}  // namespace zks::session
