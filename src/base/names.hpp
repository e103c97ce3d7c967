// SPDX-License-Identifier: MIT
//
// The public names of the protocol (PROTOCOL.md, "Names and keys"): fixed-size byte strings, none of them
// secret.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace zks {

using PublicKey = std::array<std::uint8_t, 32>;  // X25519 or Ed25519
using Digest = std::array<std::uint8_t, 32>;     // SHA-256
using RoomId = std::array<std::uint8_t, 20>;     // first 20 bytes of SHA-256("zks/1 room" || room public key)
using InviteId = std::array<std::uint8_t, 8>;
using InstanceId = std::array<std::uint8_t, 8>;  // drawn by each exit process when it starts
using PairId = std::array<std::uint8_t, 16>;     // drawn by the relay, used once
using SessionId = std::array<std::uint8_t, 16>;  // drawn by the client

enum class Direction : std::uint8_t { kClientToExit = 0, kExitToClient = 1 };

Digest sha256(ByteView data);

// The room of an exit's Ed25519 room key.
RoomId derive_room_id(const PublicKey& room_key);

// 32 lower-case base32 characters; the only accepted spelling.
std::string format_room(const RoomId& room);
std::optional<RoomId> parse_room(std::string_view text);

// base64url without padding of exactly N bytes.
template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> parse_name(std::string_view text) {
  const auto bytes = from_base64url(text);
  if (!bytes || bytes->size() != N) return std::nullopt;
  std::array<std::uint8_t, N> out;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

}  // namespace zks
