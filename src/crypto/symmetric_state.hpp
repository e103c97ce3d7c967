// SPDX-License-Identifier: MIT
//
// SymmetricState of the Noise specification (revision 34, section 5.2) with SHA-256 (section 12.5): the
// chaining key ck and the hash h over everything both sides have seen. handshake_state drives it token by
// token; cipher_state encrypts below it.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/names.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/cipher_state.hpp"

namespace zks::crypto {

class SymmetricState {
 public:
  // InitializeSymmetric(protocol_name)
  explicit SymmetricState(std::string_view protocol_name);
  SymmetricState(const SymmetricState&) = delete;
  SymmetricState& operator=(const SymmetricState&) = delete;
  ~SymmetricState() { wipe(); }

  // MixKey(input_key_material)
  void mix_key(ByteView input_key_material);
  // MixHash(data)
  void mix_hash(ByteView data);
  // MixKeyAndHash(input_key_material)
  void mix_key_and_hash(ByteView input_key_material);

  // EncryptAndHash(plaintext), DecryptAndHash(ciphertext). kProtocol before the first key was mixed in, or
  // when `ciphertext` is not authentic; h stays then.
  Result<Bytes> encrypt_and_hash(ByteView plaintext);
  Result<Bytes> decrypt_and_hash(ByteView ciphertext);

  // Split(): the key of the initiator's messages, then that of the responder's.
  struct Keys {
    Key first;
    Key second;
  };
  Keys split() const;

  // GetHandshakeHash()
  const Digest& handshake_hash() const { return h_; }

  // Forgets ck, k and h: h is half of what the outer keys are made of.
  void wipe();

 private:
  Key ck_;
  Digest h_{};
  std::optional<CipherState> cipher_;  // empty until the first mix_key
};

}  // namespace zks::crypto
