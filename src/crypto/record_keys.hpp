// SPDX-License-Identifier: MIT
//
// The keys below a record: Key_local with its counter n and ratchet, and Key_remote of an epoch. The
// handshake (noise.hpp) and the relay's control messages deliver the input; record_sealer and record_opener
// use the result.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/names.hpp"
#include "base/secret.hpp"
#include "crypto/cipher_state.hpp"
#include "crypto/evp_cipher.hpp"

namespace zks::crypto {

// Key_remote[dir, epoch] = HKDF-SHA256(salt = handshake hash, ikm = the relay's key of the epoch,
//                                      info = "zks/1 remote" || dir || BE64(epoch), length 32)
Key derive_remote_key(Direction direction, std::uint64_t epoch, const Digest& handshake_hash,
                      const Key& relay_key);

// The outer cipher of one epoch.
class RemoteCipher {
 public:
  RemoteCipher(Direction direction, std::uint64_t epoch, const Digest& handshake_hash, const Key& relay_key)
      : cipher_(derive_remote_key(direction, epoch, handshake_hash, relay_key)) {}

  // iv = BE64(n) || BE64(0). A record is at most 2^14 + 1 blocks, so the block count never reaches n's half.
  [[nodiscard]] bool start(std::uint64_t n);
  // Xors the key stream onto body and tag.
  [[nodiscard]] bool apply(MutableBytes bytes) { return cipher_.apply(bytes); }

 private:
  AesCtr cipher_;
};

// The inner cipher of one direction of a lane, and n, the number of its next record.
class LocalCipher {
 public:
  LocalCipher(Key key, ChaChaPoly::Mode mode, std::uint64_t n = 0);

  std::uint64_t n() const { return n_; }
  bool used_up() const { return n_ == kReservedNonce; }

  // Prepares record n: ratchets the key when n > 0 and n mod kRatchetRecords = 0, then sets nonce and aad.
  [[nodiscard]] bool start(std::uint8_t epoch_byte);
  ChaChaPoly& cipher() { return cipher_; }
  // Record n is sealed, or was opened and is authentic.
  void done() { ++n_; }

 private:
  Key key_;
  ChaChaPoly cipher_;
  std::uint64_t n_;
};

}  // namespace zks::crypto
