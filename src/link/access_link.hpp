// SPDX-License-Identifier: MIT
//
// Access links (PROTOCOL.md, "Names and keys"): everything a client needs to reach one exit.
//
//   zks://HOST[:PORT][,HOST[:PORT]...][/PREFIX]/ROOM[?pin=PIN]#KEY
//
//   zks:// means wss, zks+ws:// plaintext WebSocket
//   KEY = base64url(version 0x01 || exit public key (32) || invite id (8) || psk (32) || checksum (4))
//   checksum = the first 4 bytes of SHA-256 of all before it
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/names.hpp"
#include "base/relay_url.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace zks::link {

inline constexpr std::size_t kMaxRelays = 8;
inline constexpr std::size_t kMaxLinkBytes = 4096;

struct AccessLink {
  std::vector<RelayUrl> relays;  // 1 to kMaxRelays, same scheme and prefix
  RoomId room{};
  std::optional<Digest> pin;
  PublicKey exit_public_key{};
  InviteId invite{};
  Key psk;
};

// kUsage, saying which part is wrong, never repeating the part after '#'.
Result<AccessLink> parse_access_link(std::string_view text);
std::string format_access_link(const AccessLink& link);

}  // namespace zks::link
