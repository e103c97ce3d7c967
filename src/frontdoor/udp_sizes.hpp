// SPDX-License-Identifier: MIT
//
// What front doors for datagrams have in common.
#pragma once

#include <cstddef>

namespace zks::frontdoor {

inline constexpr std::size_t kDatagramBytes = 64 * 1024;  // no UDP datagram is larger
inline constexpr int kDatagramsATurn = 64;                // then others have theirs
inline constexpr int kSocketBufferBytes = 1024 * 1024;

}  // namespace zks::frontdoor
