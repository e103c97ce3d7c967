// SPDX-License-Identifier: MIT
//
// What a handshake refuses: every byte changed, every length cut or extended, wrong keys of each kind, keys
// of low order. After each refusal it is dead.
#include <gtest/gtest.h>

#include "crypto/noise.hpp"
#include "crypto/symmetric_state.hpp"
#include "handshake_fixture.hpp"

namespace zks::crypto {
namespace {

class HandshakeRefusal : public ::testing::TestWithParam<Pattern> {
 protected:
  HandshakeState initiator_after_message1() const {
    HandshakeState initiator(keys_.initiator(GetParam()));
    EXPECT_TRUE(initiator.write_message(payload_));
    return initiator;
  }
  Bytes message1() const {
    return HandshakeState(keys_.initiator(GetParam())).write_message(payload_).value();
  }
  Bytes message2() const {
    HandshakeState responder(keys_.responder(GetParam()));
    EXPECT_TRUE(responder.read_message(message1()));
    return responder.write_message(payload_).value();
  }

  void expect_refused_message1(ByteView message) const {
    HandshakeState responder(keys_.responder(GetParam()));
    const auto payload = responder.read_message(message);
    ASSERT_FALSE(payload);
    EXPECT_EQ(payload.error().kind, ErrorKind::kProtocol);
    EXPECT_TRUE(is_dead(responder, message1_));
  }
  void expect_refused_message2(ByteView message) const {
    HandshakeState initiator = initiator_after_message1();
    const auto payload = initiator.read_message(message);
    ASSERT_FALSE(payload);
    EXPECT_EQ(payload.error().kind, ErrorKind::kProtocol);
    EXPECT_TRUE(is_dead(initiator, message2_));
  }

  void SetUp() override {
    message1_ = message1();
    message2_ = message2();
  }

  HandshakeKeys keys_;
  Bytes payload_ = {1, 0, 1, 2, 3, 4, 5, 6, 7};
  Bytes message1_;
  Bytes message2_;
};
INSTANTIATE_TEST_SUITE_P(Both, HandshakeRefusal, ::testing::Values(Pattern::kIK, Pattern::kIKpsk2));

// 0x80 in the last byte of a public key is the bit that X25519 ignores: the hash must not.
TEST_P(HandshakeRefusal, EveryByteChanged) {
  for (const std::uint8_t mask : {0x01, 0x80, 0xff}) {
    for (std::size_t i = 0; i < message1_.size(); ++i) {
      Bytes changed = message1_;
      changed[i] ^= mask;
      expect_refused_message1(changed);
    }
    for (std::size_t i = 0; i < message2_.size(); ++i) {
      Bytes changed = message2_;
      changed[i] ^= mask;
      expect_refused_message2(changed);
    }
  }
}

TEST_P(HandshakeRefusal, EveryLengthCut) {
  for (std::size_t size = 0; size < message1_.size(); ++size) {
    expect_refused_message1(ByteView(message1_).first(size));
  }
  for (std::size_t size = 0; size < message2_.size(); ++size) {
    expect_refused_message2(ByteView(message2_).first(size));
  }
}

TEST_P(HandshakeRefusal, Extended) {
  for (const std::size_t more : {std::size_t{1}, std::size_t{16}, std::size_t{64}, kNoiseMessageMax}) {
    Bytes long1 = message1_;
    Bytes long2 = message2_;
    long1.resize(long1.size() + more);
    long2.resize(long2.size() + more);
    expect_refused_message1(long1);
    expect_refused_message2(long2);
  }
}

TEST_P(HandshakeRefusal, MessagesOfTheOtherTurn) {
  expect_refused_message1(message2_);
  expect_refused_message2(message1_);
}

TEST_P(HandshakeRefusal, WrongPrologue) {
  HandshakeKeys other;
  other.prologue.push_back(0);
  HandshakeState responder(other.responder(GetParam()));
  EXPECT_FALSE(responder.read_message(message1_));
  EXPECT_TRUE(is_dead(responder, message1_));
}

TEST_P(HandshakeRefusal, NotThatExit) {
  HandshakeKeys other;
  other.exit = KeyPair::from_private(filled_key(9));
  HandshakeState responder(other.responder(GetParam()));
  EXPECT_FALSE(responder.read_message(message1_));
  EXPECT_TRUE(is_dead(responder, message1_));
}

// Message 2 of another handshake between the same two.
TEST_P(HandshakeRefusal, ReplayedMessage2) {
  HandshakeOptions options = keys_.initiator(GetParam());
  options.ephemeral = KeyPair::from_private(filled_key(10));
  HandshakeState initiator(std::move(options));
  ASSERT_TRUE(initiator.write_message(payload_));
  EXPECT_FALSE(initiator.read_message(message2_));
  EXPECT_TRUE(is_dead(initiator, message2_));
}

TEST_P(HandshakeRefusal, OneEndOfTheOtherPattern) {
  const Pattern other = GetParam() == Pattern::kIK ? Pattern::kIKpsk2 : Pattern::kIK;
  HandshakeState responder(keys_.responder(other));
  EXPECT_FALSE(responder.read_message(message1_));
}

// Points of low order, for which no private key exists (RFC 7748, section 6.1): 0, 1, p - 1, p and one of
// order 8.
const char* const kLowOrder[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
};

TEST_P(HandshakeRefusal, LowOrderEphemeral) {
  for (const char* point : kLowOrder) {
    const Bytes ephemeral = from_hex(point).value();
    Bytes changed = message1_;
    std::copy(ephemeral.begin(), ephemeral.end(), changed.begin());
    expect_refused_message1(changed);
    changed = message2_;
    std::copy(ephemeral.begin(), ephemeral.end(), changed.begin());
    expect_refused_message2(changed);
  }
}

// Message 1 by the specification's letter, for a static key and an "ss" that the writer may choose.
Bytes handmade_message1(const HandshakeKeys& keys, const PublicKey& s, const Key& ss, ByteView payload = {}) {
  const KeyPair e = KeyPair::from_private(filled_key(3));
  SymmetricState symmetric("Noise_IKpsk2_25519_ChaChaPoly_SHA256");
  symmetric.mix_hash(keys.prologue);
  symmetric.mix_hash(keys.exit.public_key);
  Bytes message(e.public_key.begin(), e.public_key.end());
  symmetric.mix_hash(e.public_key);
  symmetric.mix_key(e.public_key);
  symmetric.mix_key(dh(e, keys.exit.public_key)->view());
  const Bytes sealed_s = symmetric.encrypt_and_hash(s).value();
  message.insert(message.end(), sealed_s.begin(), sealed_s.end());
  symmetric.mix_key(ss.view());
  const Bytes sealed_payload = symmetric.encrypt_and_hash(payload).value();
  message.insert(message.end(), sealed_payload.begin(), sealed_payload.end());
  return message;
}

// A client key without a private half: "ss" is then zeros for everyone, and a responder that went on with
// them would take anyone for that client.
TEST(HandshakeLowOrder, ClientStaticKey) {
  const HandshakeKeys keys;
  HandshakeState honest(keys.responder());
  const Key ss = dh(keys.client, keys.exit.public_key).value();
  ASSERT_TRUE(honest.read_message(handmade_message1(keys, keys.client.public_key, ss)));
  for (const char* point : kLowOrder) {
    const Bytes bytes = from_hex(point).value();
    PublicKey key;
    std::copy(bytes.begin(), bytes.end(), key.begin());
    HandshakeState responder(keys.responder());
    const Bytes message1 = handmade_message1(keys, key, Key());
    EXPECT_EQ(responder.read_message(message1).error().kind, ErrorKind::kProtocol);
    EXPECT_TRUE(is_dead(responder, message1));
  }
}

// Genuine in all but its length (section 3: a Noise message has at most 65,535 bytes).
TEST(HandshakeLength, OneByteOverTheLongest) {
  const HandshakeKeys keys;
  const Key ss = dh(keys.client, keys.exit.public_key).value();
  Bytes payload(kNoiseMessageMax - kMessage1Overhead);
  HandshakeState takes(keys.responder());
  EXPECT_TRUE(takes.read_message(handmade_message1(keys, keys.client.public_key, ss, payload)));
  payload.push_back(0);
  HandshakeState refuses(keys.responder());
  const Bytes too_long = handmade_message1(keys, keys.client.public_key, ss, payload);
  EXPECT_EQ(refuses.read_message(too_long).error().kind, ErrorKind::kProtocol);
  EXPECT_TRUE(is_dead(refuses, too_long));
}

TEST_P(HandshakeRefusal, LowOrderExitKey) {
  for (const char* point : kLowOrder) {
    HandshakeOptions options = keys_.initiator(GetParam());
    const Bytes key = from_hex(point).value();
    std::copy(key.begin(), key.end(), options.remote_static.begin());
    HandshakeState initiator(std::move(options));
    EXPECT_EQ(initiator.write_message(payload_).error().kind, ErrorKind::kProtocol);
    EXPECT_TRUE(is_dead(initiator, message2_));
  }
}

// Message 1 does not prove the psk (it comes with message 2), so a wrong one shows at the initiator.
TEST(HandshakePsk, WrongPskFailsAtMessage2) {
  const HandshakeKeys keys;
  HandshakeState initiator(keys.initiator());
  HandshakeOptions options = keys.responder();
  options.psk = filled_key(6);
  HandshakeState responder(std::move(options));
  ASSERT_TRUE(responder.read_message(initiator.write_message({}).value()));
  const Bytes message2 = responder.write_message({}).value();
  EXPECT_EQ(initiator.read_message(message2).error().kind, ErrorKind::kProtocol);
  EXPECT_TRUE(is_dead(initiator, message2));
}

}  // namespace
}  // namespace zks::crypto
