// SPDX-License-Identifier: MIT
//
// Noise_IKpsk2_25519_ChaChaPoly_SHA256 and Noise_IK_... (Noise revision 34), on libsodium. Sans-IO. The
// layers are the specification's own: CipherState (5.1), SymmetricState (5.2), HandshakeState (5.3). What
// split() returns goes to the record cipher (record.hpp).
//
// A handshake that failed is dead: its keys are wiped and every later call fails too.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include <sodium.h>

#include "base/bytes.hpp"
#include "base/names.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/x25519.hpp"

namespace zks::crypto {

inline constexpr std::size_t kNoiseMessageMax = 65'535;  // section 3
inline constexpr std::size_t kMessage1Overhead = 96;     // e (32), s (32 + 16), tag (16)
inline constexpr std::size_t kMessage2Overhead = 48;     // e (32), tag (16)

enum class Pattern { kIK, kIKpsk2 };

struct HandshakeOptions {
  Pattern pattern = Pattern::kIKpsk2;
  bool initiator = false;
  Bytes prologue;
  KeyPair local_static;
  PublicKey remote_static{};         // initiator only
  std::optional<Key> psk;            // a responder may give it later with set_psk(), before message 2
  std::optional<KeyPair> ephemeral;  // tests with published vectors only; otherwise drawn
};

// The two transport keys of split() (5.2) and the handshake hash (11.2), which is wiped as they are.
struct TransportKeys {
  TransportKeys(Key first, Key second, const Digest& hash)
      : initiator_to_responder(std::move(first)),
        responder_to_initiator(std::move(second)),
        handshake_hash(hash) {}
  TransportKeys(TransportKeys&&) = default;
  TransportKeys& operator=(TransportKeys&&) = default;
  ~TransportKeys() { sodium_memzero(handshake_hash.data(), handshake_hash.size()); }

  Key initiator_to_responder;
  Key responder_to_initiator;
  Digest handshake_hash;
};

// Not thread-safe; may be moved, and a moved-from one only destroyed or assigned to.
class HandshakeState {
 public:
  explicit HandshakeState(HandshakeOptions options);
  HandshakeState(HandshakeState&&) noexcept;
  HandshakeState& operator=(HandshakeState&&) noexcept;
  ~HandshakeState();

  void set_psk(Key psk);

  // The next message of the pattern with `payload` in it; kProtocol out of turn, without the psk that the
  // pattern needs, or when the peer's key is of low order; kLimit over kNoiseMessageMax.
  Result<Bytes> write_message(ByteView payload);
  // The payload of the next message. kProtocol when it is out of turn, malformed or not authentic, and
  // then nothing of it is kept.
  Result<Bytes> read_message(ByteView message);

  bool finished() const;                   // both messages went through and no call failed
  const PublicKey& remote_static() const;  // responder: after message 1, zeros before and after a failure
  const Digest& handshake_hash() const;    // zeros after split() or a failure
  // After both messages; once. Ephemeral, static and chaining keys, the psk and the hash are wiped here.
  Result<TransportKeys> split();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace zks::crypto
