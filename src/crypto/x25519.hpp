// SPDX-License-Identifier: MIT
//
// X25519 key pairs and the DH function of the Noise specification (revision 34, section 12.1), on libsodium.
// The handshake's tokens (handshake_state) are its only user besides those that make and store static keys.
#pragma once

#include <optional>

#include "base/names.hpp"
#include "base/secret.hpp"

namespace zks::crypto {

struct KeyPair {
  Key private_key;
  PublicKey public_key{};

  static KeyPair generate();
  static KeyPair from_private(Key private_key);
  KeyPair clone() const { return {private_key.clone(), public_key}; }
};

// DH(key_pair, public_key). std::nullopt when the result is all zeros.
//
// Section 12.1 leaves that case open: it prefers to go on with the zeros, and allows a refusal. We refuse. A
// peer reaches it only with a point of low order, for which no private key exists; an exit that went on would
// pin such a "client key", and then everyone could speak for it. Refusing costs no honest peer anything.
std::optional<Key> dh(const KeyPair& key_pair, const PublicKey& public_key);

}  // namespace zks::crypto
