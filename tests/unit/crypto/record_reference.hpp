// SPDX-License-Identifier: MIT
//
// The record cipher a second time, straight from its formula and slowly: what the fast one must agree with.
// It shares no code with src/crypto: HMAC and AES blocks are OpenSSL's, the AEAD is libsodium's.
#pragma once

#include "base/bytes.hpp"
#include "base/names.hpp"
#include "base/secret.hpp"

namespace zks::crypto {

// Key_remote[dir, epoch]
Key reference_remote_key(Direction direction, std::uint64_t epoch, const Digest& handshake_hash,
                         const Key& relay_key);

// Record n in `epoch` of a lane whose first key was `key_local`.
Bytes reference_record(const Key& key_local, Direction direction, const Digest& handshake_hash,
                       const Key& relay_key, std::uint64_t epoch, std::uint64_t n, ByteView frames);

}  // namespace zks::crypto
