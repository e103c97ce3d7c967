// SPDX-License-Identifier: MIT
//
// Values that SOCKS4 and SOCKS5 (RFC 1928, sections 3, 4 and 6) share, or that more than one file says.
#pragma once

#include <cstdint>

namespace zks::frontdoor {

inline constexpr std::uint8_t kSocks4Version = 4;
inline constexpr std::uint8_t kSocks5Version = 5;
inline constexpr std::uint8_t kCommandConnect = 1;
inline constexpr std::uint8_t kCommandUdpAssociate = 3;
inline constexpr std::uint8_t kSucceeded = 0;

}  // namespace zks::frontdoor
