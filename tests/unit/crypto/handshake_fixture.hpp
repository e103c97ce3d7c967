// SPDX-License-Identifier: MIT
//
// Two ends of one handshake with fixed keys, for the tests of the handshake and of what it refuses.
#pragma once

#include <utility>

#include "crypto/noise.hpp"

namespace zks::crypto {

inline Key filled_key(std::uint8_t value) {
  Key key;
  for (std::uint8_t& byte : key.mutable_view()) byte = value;
  return key;
}

struct HandshakeKeys {
  KeyPair client = KeyPair::from_private(filled_key(1));
  KeyPair exit = KeyPair::from_private(filled_key(2));
  Bytes prologue = {'z', 'k', 's'};

  HandshakeOptions initiator(Pattern pattern = Pattern::kIKpsk2) const {
    HandshakeOptions options;
    options.pattern = pattern;
    options.initiator = true;
    options.prologue = prologue;
    options.local_static = client.clone();
    options.remote_static = exit.public_key;
    options.ephemeral = KeyPair::from_private(filled_key(3));
    if (pattern == Pattern::kIKpsk2) options.psk = filled_key(5);
    return options;
  }

  HandshakeOptions responder(Pattern pattern = Pattern::kIKpsk2) const {
    HandshakeOptions options;
    options.pattern = pattern;
    options.prologue = prologue;
    options.local_static = exit.clone();
    options.ephemeral = KeyPair::from_private(filled_key(4));
    if (pattern == Pattern::kIKpsk2) options.psk = filled_key(5);
    return options;
  }
};

// A dead handshake: no call succeeds any more, and it shows no peer's key.
inline bool is_dead(HandshakeState& state, ByteView any_message) {
  const bool refuses = !state.write_message({}) && !state.read_message(any_message) && !state.split();
  return refuses && !state.finished() && state.remote_static() == PublicKey{};
}

}  // namespace zks::crypto
