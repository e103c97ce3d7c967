// SPDX-License-Identifier: MIT
//
// SOCKS4 and SOCKS4a for CONNECT, as their only descriptions, the authors' memos of 1994, have them. Sans-IO
// and without state: the whole request is looked at again when more of it has come. socks_door.hpp reads and
// replies. There is no password in SOCKS4, so a proxy that asks for one refuses it.
//
//   request   version 4 (1) | command (1) | port (2) | address (4) | user id, up to a 0
//             SOCKS4a: address 0.0.0.x, x not 0, and behind the user id a name, up to a 0
//   reply     0 (1) | 90 for yes, 91 for no (1) | bound port (2) | bound address (4)
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "session/destination.hpp"

namespace zks::frontdoor {

struct Socks4Request {
  enum class Step : std::uint8_t { kMore, kRequest, kRefused };

  Step step = Step::kMore;
  std::size_t taken = 0;  // kRequest: its size; what follows is the client's data for the destination
  session::Destination destination;

  friend bool operator==(const Socks4Request&, const Socks4Request&) = default;
};

// Needs at most kMaxSocks4Bytes to come to an end. The user id has at most 255 bytes and is not looked at.
inline constexpr std::size_t kMaxSocks4Bytes = 8 + 255 + 1 + 255 + 1;
Socks4Request parse_socks4(ByteView input);

// A bound address that is no IPv4 address is told as 0.0.0.0.
Bytes encode_socks4_reply(bool granted, const session::Destination& bound);

}  // namespace zks::frontdoor
