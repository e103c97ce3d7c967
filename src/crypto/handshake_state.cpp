// SPDX-License-Identifier: MIT
//
// HandshakeState of the Noise specification (revision 34, section 5.3): runs the tokens of the two patterns'
// tables over symmetric_state and x25519. The tunnel carries its messages and hands the result of split() to
// the records.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "crypto/noise.hpp"
#include "crypto/symmetric_state.hpp"

namespace zks::crypto {
namespace {

enum class Token : std::uint8_t { kE, kS, kEe, kEs, kSe, kSs, kPsk };

// Section 7.5, IK: "<- s", "...", "-> e, es, s, ss", "<- e, ee, se"; section 9.4: psk2 ends message 2 with
// "psk".
constexpr std::array kMessage1 = {Token::kE, Token::kEs, Token::kS, Token::kSs};
constexpr std::array kMessage2 = {Token::kE, Token::kEe, Token::kSe};
constexpr std::array kMessage2Psk = {Token::kE, Token::kEe, Token::kSe, Token::kPsk};

struct PatternTable {
  std::string_view protocol_name;  // section 8
  bool has_psk;
  std::array<std::span<const Token>, 2> messages;
};
constexpr PatternTable kIk = {"Noise_IK_25519_ChaChaPoly_SHA256", false, {kMessage1, kMessage2}};
constexpr PatternTable kIkPsk2 = {"Noise_IKpsk2_25519_ChaChaPoly_SHA256", true, {kMessage1, kMessage2Psk}};

constexpr std::size_t kDhLen = PublicKey{}.size();

Error out_of_turn() {
  return make_error(ErrorKind::kProtocol, "handshake call out of turn");
}
Error failed() {
  return make_error(ErrorKind::kProtocol, "handshake failed");
}

void append(Bytes& to, ByteView what) {
  to.insert(to.end(), what.begin(), what.end());
}

}  // namespace

struct HandshakeState::State {
  explicit State(HandshakeOptions&& options);

  bool may_write() const { return !dead && next < 2 && (next == 0) == initiator; }
  bool may_read() const { return !dead && next < 2 && (next == 0) != initiator; }

  bool write_token(Token token, Bytes& message);
  bool read_token(Token token, ByteReader& message);
  bool mix(Token token);
  bool mix_dh(const KeyPair& local, const PublicKey& remote);
  void mix_ephemeral(const PublicKey& ephemeral);
  void wipe();
  Error die(Error why);

  const PatternTable* pattern;
  bool initiator;
  SymmetricState symmetric;
  KeyPair s;
  std::optional<KeyPair>
      e;  // drawn when its token is written: a bad message 1 does not cost the exit a key pair
  PublicKey rs;
  PublicKey re{};
  std::optional<Key> psk;
  std::size_t next = 0;  // index of the next message
  bool dead = false;     // failed, or split
};

// Initialize(): MixHash(prologue), then the pre-message "<- s", the responder's public key.
HandshakeState::State::State(HandshakeOptions&& options)
    : pattern(options.pattern == Pattern::kIK ? &kIk : &kIkPsk2),
      initiator(options.initiator),
      symmetric(pattern->protocol_name),
      s(std::move(options.local_static)),
      e(std::move(options.ephemeral)),
      rs(options.initiator ? options.remote_static : PublicKey{}),
      psk(std::move(options.psk)) {
  symmetric.mix_hash(options.prologue);
  symmetric.mix_hash(initiator ? rs : s.public_key);
}

bool HandshakeState::State::mix_dh(const KeyPair& local, const PublicKey& remote) {
  const std::optional<Key> shared = dh(local, remote);
  if (!shared) return false;
  symmetric.mix_key(shared->view());
  return true;
}

// "e": MixHash(e.public_key), and, section 9.2, MixKey(e.public_key) where there is a psk.
void HandshakeState::State::mix_ephemeral(const PublicKey& ephemeral) {
  symmetric.mix_hash(ephemeral);
  if (pattern->has_psk) symmetric.mix_key(ephemeral);
}

// The tokens that put nothing on the wire: the same for writer and reader.
bool HandshakeState::State::mix(Token token) {
  switch (token) {
    case Token::kEe:
      return mix_dh(*e, re);
    case Token::kEs:
      return initiator ? mix_dh(*e, rs) : mix_dh(s, re);
    case Token::kSe:
      return initiator ? mix_dh(s, re) : mix_dh(*e, rs);
    case Token::kSs:
      return mix_dh(s, rs);
    case Token::kPsk:
      if (!psk) return false;
      symmetric.mix_key_and_hash(psk->view());
      return true;
    case Token::kE:
    case Token::kS:
      break;
  }
  return false;
}

bool HandshakeState::State::write_token(Token token, Bytes& message) {
  if (token == Token::kE) {
    if (!e) e = KeyPair::generate();
    append(message, e->public_key);
    mix_ephemeral(e->public_key);
    return true;
  }
  if (token == Token::kS) {
    const auto sealed = symmetric.encrypt_and_hash(s.public_key);
    if (sealed) append(message, *sealed);
    return sealed.has_value();
  }
  return mix(token);
}

bool HandshakeState::State::read_token(Token token, ByteReader& message) {
  if (token == Token::kE) {
    const auto ephemeral = message.array<kDhLen>();
    if (!ephemeral) return false;
    re = *ephemeral;
    mix_ephemeral(re);
    return true;
  }
  if (token == Token::kS) {
    const auto sealed = message.take(kDhLen + kTagSize);
    if (!sealed) return false;
    const auto opened = symmetric.decrypt_and_hash(*sealed);
    if (!opened) return false;
    std::copy(opened->begin(), opened->end(), rs.begin());
    return true;
  }
  return mix(token);
}

void HandshakeState::State::wipe() {
  s.private_key.wipe();
  e.reset();
  psk.reset();
  symmetric.wipe();
  dead = true;
}

// A key that was read but not authenticated must not be looked at by anyone, so rs goes too.
Error HandshakeState::State::die(Error why) {
  wipe();
  rs.fill(0);
  next = 0;
  return why;
}

HandshakeState::HandshakeState(HandshakeOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}
HandshakeState::HandshakeState(HandshakeState&&) noexcept = default;
HandshakeState& HandshakeState::operator=(HandshakeState&&) noexcept = default;
HandshakeState::~HandshakeState() = default;

void HandshakeState::set_psk(Key psk) {
  if (!state_->dead) state_->psk = std::move(psk);
}

// WriteMessage(payload, message_buffer)
Result<Bytes> HandshakeState::write_message(ByteView payload) {
  if (!state_->may_write()) return state_->die(out_of_turn());
  const std::size_t overhead = state_->next == 0 ? kMessage1Overhead : kMessage2Overhead;
  if (payload.size() > kNoiseMessageMax - overhead) {
    return state_->die(make_error(ErrorKind::kLimit, "handshake payload is too long"));
  }
  Bytes message;
  message.reserve(payload.size() + overhead);
  for (const Token token : state_->pattern->messages[state_->next]) {
    if (!state_->write_token(token, message)) return state_->die(failed());
  }
  const auto sealed = state_->symmetric.encrypt_and_hash(payload);
  if (!sealed) return state_->die(failed());
  append(message, *sealed);
  ++state_->next;
  return message;
}

// ReadMessage(message, payload_buffer)
Result<Bytes> HandshakeState::read_message(ByteView message) {
  if (!state_->may_read()) return state_->die(out_of_turn());
  if (message.size() > kNoiseMessageMax) return state_->die(failed());
  ByteReader reader(message);
  for (const Token token : state_->pattern->messages[state_->next]) {
    if (!state_->read_token(token, reader)) return state_->die(failed());
  }
  auto payload = state_->symmetric.decrypt_and_hash(reader.rest());
  if (!payload) return state_->die(failed());
  ++state_->next;
  return payload;
}

bool HandshakeState::finished() const {
  return state_->next == 2;
}
const PublicKey& HandshakeState::remote_static() const {
  return state_->rs;
}
const Digest& HandshakeState::handshake_hash() const {
  return state_->symmetric.handshake_hash();
}

Result<TransportKeys> HandshakeState::split() {
  if (state_->dead || !finished()) return state_->die(out_of_turn());
  SymmetricState::Keys keys = state_->symmetric.split();
  TransportKeys out(std::move(keys.first), std::move(keys.second), handshake_hash());
  state_->wipe();
  return out;
}

}  // namespace zks::crypto
