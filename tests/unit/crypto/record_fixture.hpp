// SPDX-License-Identifier: MIT
//
// One direction of a lane with fixed keys, for the tests of the record cipher.
#pragma once

#include <algorithm>
#include <string_view>

#include "crypto/record.hpp"
#include "handshake_fixture.hpp"

namespace zks::crypto {

struct RecordLane {
  Key local = filled_key(0x11);
  Digest hash = sha256(as_bytes("a handshake"));
  Direction direction = Direction::kClientToExit;

  // The relay's key of an epoch.
  static Key relay_key(std::uint64_t epoch) {
    std::array<std::uint8_t, 8> encoded;
    store_be(epoch, encoded.data());
    return Key(sha256(encoded));
  }
  RecordSealer sealer() const { return {local.clone(), direction, hash, relay_key(0)}; }
  RecordOpener opener() const { return {local.clone(), direction, hash, relay_key(0)}; }
};

// A buffer as RecordSealer::seal() wants it, with `frames` in its place.
inline Bytes record_buffer(ByteView frames) {
  Bytes buffer(frames.size() + kRecordOverhead);
  std::copy(frames.begin(), frames.end(), buffer.begin() + kRecordHeader);
  return buffer;
}

inline Bytes seal(RecordSealer& sealer, ByteView frames) {
  Bytes buffer = record_buffer(frames);
  const Result<> sealed = sealer.seal(buffer);
  return sealed ? buffer : Bytes{};
}

// The frames of a record, or nothing. Works on a copy, so that a record can be tried twice.
inline std::optional<Bytes> open(RecordOpener& opener, Bytes record) {
  const Result<MutableBytes> frames = opener.open(record);
  if (!frames) return std::nullopt;
  return Bytes(frames->begin(), frames->end());
}

// Seals and opens `count` records, so that both ends stand at the same n.
inline bool advance(RecordSealer& sealer, RecordOpener& opener, std::uint64_t count) {
  Bytes buffer = record_buffer({});
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!sealer.seal(buffer) || !opener.open(buffer)) return false;
  }
  return true;
}

}  // namespace zks::crypto
