// SPDX-License-Identifier: MIT
//
// Noise_IKpsk2_25519_ChaChaPoly_SHA256 and Noise_IK_... (Noise revision 34), on libsodium. Sans-IO. The layers are
// the specification's own: CipherState (5.1), SymmetricState (5.2), HandshakeState (5.3).
//
// A handshake that failed is dead: every later call fails too.
#pragma once

#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "base/names.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace zks::crypto {

struct KeyPair {
  Key private_key;
  PublicKey public_key{};

  static KeyPair generate();
  static KeyPair from_private(Key private_key);
  KeyPair clone() const { return {private_key.clone(), public_key}; }
};

enum class Pattern { kIK, kIKpsk2 };

struct HandshakeOptions {
  Pattern pattern = Pattern::kIKpsk2;
  bool initiator = false;
  Bytes prologue;
  KeyPair local_static;
  PublicKey remote_static{};          // initiator only
  std::optional<Key> psk;             // a responder may give it later with set_psk(), before message 2
  std::optional<KeyPair> ephemeral;   // tests with published vectors only; otherwise drawn
};

// The two transport keys of split() (5.2) and the handshake hash (11.2).
struct TransportKeys {
  Key initiator_to_responder;
  Key responder_to_initiator;
  Digest handshake_hash{};
};

class HandshakeState {
 public:
  explicit HandshakeState(HandshakeOptions options);
  HandshakeState(HandshakeState&&) noexcept;
  HandshakeState& operator=(HandshakeState&&) noexcept;
  ~HandshakeState();

  void set_psk(Key psk);

  // The next message of the pattern with `payload` in it; kProtocol out of turn. Message 1 is 96 bytes more than
  // its payload, message 2 is 48 more.
  Result<Bytes> write_message(ByteView payload);
  // The payload of the next message. kProtocol when it is out of turn, malformed or not authentic. State changes
  // only after verification.
  Result<Bytes> read_message(ByteView message);

  bool finished() const;
  const PublicKey& remote_static() const;  // responder: after message 1
  const Digest& handshake_hash() const;
  // After both messages; once. Ephemeral and chaining keys are wiped.
  Result<TransportKeys> split();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace zks::crypto
