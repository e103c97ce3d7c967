// SPDX-License-Identifier: MIT
//
// Handshake messages from arbitrary bytes, under fixed keys. The first byte of the input picks what happens:
//   0  the rest is message 1 for a responder
//   1  the rest is message 2 for an initiator
//   2  the rest is xored onto the genuine message 1
//   3  the rest is xored onto the genuine message 2
// Only the genuine message may be taken (the fuzzer has no key to make another), and what was refused stays
// so.
#include <cstdlib>
#include <utility>

#include "crypto/noise.hpp"

namespace {

using zks::Bytes;
using zks::ByteView;
using zks::crypto::HandshakeOptions;
using zks::crypto::HandshakeState;
using zks::crypto::KeyPair;

const Bytes kPayload = {1, 8, 7, 6, 5, 4, 3, 2, 1, 0};

void require(bool condition) {
  if (!condition) std::abort();
}

zks::Key filled_key(std::uint8_t value) {
  zks::Key key;
  for (std::uint8_t& byte : key.mutable_view()) byte = value;
  return key;
}

struct Keys {
  KeyPair client = KeyPair::from_private(filled_key(1));
  KeyPair exit = KeyPair::from_private(filled_key(2));
  KeyPair client_ephemeral = KeyPair::from_private(filled_key(3));
  KeyPair exit_ephemeral = KeyPair::from_private(filled_key(4));
};
const Keys kKeys;

HandshakeOptions options(bool initiator) {
  HandshakeOptions out;
  out.initiator = initiator;
  out.prologue = {'z', 'k', 's', '/', '1'};
  out.local_static = (initiator ? kKeys.client : kKeys.exit).clone();
  if (initiator) out.remote_static = kKeys.exit.public_key;
  out.psk = filled_key(5);
  out.ephemeral = (initiator ? kKeys.client_ephemeral : kKeys.exit_ephemeral).clone();
  return out;
}

const Bytes& genuine_message1() {
  static const Bytes message = HandshakeState(options(true)).write_message(kPayload).value();
  return message;
}

const Bytes& genuine_message2() {
  static const Bytes message = [] {
    HandshakeState responder(options(false));
    require(responder.read_message(genuine_message1()).has_value());
    return responder.write_message(kPayload).value();
  }();
  return message;
}

void read_message1(const Bytes& message) {
  HandshakeState responder(options(false));
  const bool taken = responder.read_message(message).has_value();
  require(taken == (message == genuine_message1()));
  require(responder.write_message(kPayload).has_value() == taken);
  require(responder.split().has_value() == taken);
}

void read_message2(const Bytes& message) {
  HandshakeState initiator(options(true));
  require(initiator.write_message(kPayload).has_value());
  const bool taken = initiator.read_message(message).has_value();
  require(taken == (message == genuine_message2()));
  require(initiator.split().has_value() == taken);
}

Bytes xored(const Bytes& message, ByteView mask) {
  Bytes out = message;
  for (std::size_t i = 0; i < out.size() && i < mask.size(); ++i) out[i] ^= mask[i];
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  switch (data[0]) {
    case 0:
      read_message1(Bytes(rest.begin(), rest.end()));
      break;
    case 1:
      read_message2(Bytes(rest.begin(), rest.end()));
      break;
    case 2:
      read_message1(xored(genuine_message1(), rest));
      break;
    case 3:
      read_message2(xored(genuine_message2(), rest));
      break;
    default:
      break;
  }
  return 0;
}
