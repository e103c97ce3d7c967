// SPDX-License-Identifier: MIT
#include "base/names.hpp"

#include <algorithm>

#include <sodium.h>

namespace zks {

Digest sha256(ByteView data) {
  Digest out;
  crypto_hash_sha256(out.data(), data.data(), data.size());
  return out;
}

RoomId derive_room_id(const PublicKey& room_key) {
  Bytes input;
  const ByteView label = as_bytes("zks/1 room");
  input.insert(input.end(), label.begin(), label.end());
  input.insert(input.end(), room_key.begin(), room_key.end());
  const Digest digest = sha256(input);
  RoomId room;
  std::copy_n(digest.begin(), room.size(), room.begin());
  return room;
}

std::string format_room(const RoomId& room) {
  return to_base32(room);
}

std::optional<RoomId> parse_room(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  const auto bytes = from_base32(text);
  if (!bytes || bytes->size() != RoomId{}.size()) return std::nullopt;
  RoomId room;
  std::copy(bytes->begin(), bytes->end(), room.begin());
  return room;
}

}  // namespace zks
