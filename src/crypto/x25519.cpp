// SPDX-License-Identifier: MIT
#include "crypto/x25519.hpp"

#include <utility>

#include <sodium.h>

namespace zks::crypto {

KeyPair KeyPair::generate() {
  return from_private(Key::random());
}

KeyPair KeyPair::from_private(Key private_key) {
  KeyPair out{std::move(private_key), {}};
  crypto_scalarmult_curve25519_base(out.public_key.data(), out.private_key.data());
  return out;
}

std::optional<Key> dh(const KeyPair& key_pair, const PublicKey& public_key) {
  Key shared;
  // libsodium refuses points of low order and all-zero results (RFC 7748, section 6.1).
  if (crypto_scalarmult_curve25519(shared.data(), key_pair.private_key.data(), public_key.data()) != 0) {
    return std::nullopt;
  }
  return shared;
}

}  // namespace zks::crypto
