// SPDX-License-Identifier: MIT
//
// The handshake between two of ours: what both ends agree on, sizes, turns, and that it happens only once.
#include <gtest/gtest.h>

#include "crypto/noise.hpp"
#include "handshake_fixture.hpp"

namespace zks::crypto {
namespace {

class HandshakePatterns : public ::testing::TestWithParam<Pattern> {
 protected:
  HandshakeKeys keys_;
};
INSTANTIATE_TEST_SUITE_P(Both, HandshakePatterns, ::testing::Values(Pattern::kIK, Pattern::kIKpsk2));

TEST_P(HandshakePatterns, BothEndsAgree) {
  HandshakeState initiator(keys_.initiator(GetParam()));
  HandshakeState responder(keys_.responder(GetParam()));
  const Bytes first = {1, 2, 3};
  const Bytes second = {4, 5};
  const auto message1 = initiator.write_message(first);
  ASSERT_TRUE(message1);
  EXPECT_EQ(message1->size(), first.size() + kMessage1Overhead);
  const auto read1 = responder.read_message(*message1);
  ASSERT_TRUE(read1);
  EXPECT_EQ(*read1, first);
  EXPECT_EQ(responder.remote_static(), keys_.client.public_key);
  EXPECT_FALSE(responder.finished());
  const auto message2 = responder.write_message(second);
  ASSERT_TRUE(message2);
  EXPECT_EQ(message2->size(), second.size() + kMessage2Overhead);
  const auto read2 = initiator.read_message(*message2);
  ASSERT_TRUE(read2);
  EXPECT_EQ(*read2, second);
  ASSERT_TRUE(initiator.finished() && responder.finished());

  const Digest hash = initiator.handshake_hash();
  const auto ours = initiator.split();
  const auto theirs = responder.split();
  ASSERT_TRUE(ours && theirs);
  EXPECT_TRUE(ours->initiator_to_responder.equals(theirs->initiator_to_responder.view()));
  EXPECT_TRUE(ours->responder_to_initiator.equals(theirs->responder_to_initiator.view()));
  EXPECT_FALSE(ours->initiator_to_responder.equals(ours->responder_to_initiator.view()));
  EXPECT_EQ(ours->handshake_hash, theirs->handshake_hash);
  EXPECT_EQ(ours->handshake_hash, hash);
  EXPECT_EQ(initiator.handshake_hash(), Digest{}) << "the hash is overwritten with the keys";
  EXPECT_EQ(responder.handshake_hash(), Digest{});
}

TEST_P(HandshakePatterns, EphemeralKeysAreDrawnEachTime) {
  HandshakeOptions one = keys_.initiator(GetParam());
  HandshakeOptions two = keys_.initiator(GetParam());
  one.ephemeral.reset();
  two.ephemeral.reset();
  const auto first = HandshakeState(std::move(one)).write_message({});
  const auto second = HandshakeState(std::move(two)).write_message({});
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(std::equal(first->begin(), first->begin() + 32, second->begin()));
}

TEST_P(HandshakePatterns, OnlyMessagesInTurn) {
  const Bytes message1 = HandshakeState(keys_.initiator(GetParam())).write_message({}).value();

  HandshakeState reads_first(keys_.initiator(GetParam()));
  EXPECT_EQ(reads_first.read_message(message1).error().kind, ErrorKind::kProtocol);
  EXPECT_TRUE(is_dead(reads_first, message1));

  HandshakeState writes_first(keys_.responder(GetParam()));
  EXPECT_EQ(writes_first.write_message({}).error().kind, ErrorKind::kProtocol);
  EXPECT_TRUE(is_dead(writes_first, message1));

  HandshakeState writes_twice(keys_.initiator(GetParam()));
  ASSERT_TRUE(writes_twice.write_message({}));
  EXPECT_FALSE(writes_twice.write_message({}));
  EXPECT_TRUE(is_dead(writes_twice, message1));

  HandshakeState splits_early(keys_.responder(GetParam()));
  ASSERT_TRUE(splits_early.read_message(message1));
  EXPECT_FALSE(splits_early.split());
  EXPECT_TRUE(is_dead(splits_early, message1));
}

TEST_P(HandshakePatterns, SplitsOnce) {
  HandshakeState initiator(keys_.initiator(GetParam()));
  HandshakeState responder(keys_.responder(GetParam()));
  ASSERT_TRUE(responder.read_message(initiator.write_message({}).value()));
  ASSERT_TRUE(initiator.read_message(responder.write_message({}).value()));
  ASSERT_TRUE(initiator.split());
  EXPECT_EQ(initiator.split().error().kind, ErrorKind::kProtocol);
}

TEST_P(HandshakePatterns, PayloadsUpToTheLongestNoiseMessage) {
  HandshakeState initiator(keys_.initiator(GetParam()));
  HandshakeState responder(keys_.responder(GetParam()));
  const Bytes longest(kNoiseMessageMax - kMessage1Overhead, 0x55);
  const auto message1 = initiator.write_message(longest);
  ASSERT_TRUE(message1);
  EXPECT_EQ(message1->size(), kNoiseMessageMax);
  EXPECT_EQ(responder.read_message(*message1).value(), longest);
  const Bytes too_long(kNoiseMessageMax - kMessage2Overhead + 1);
  EXPECT_EQ(responder.write_message(too_long).error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(is_dead(responder, *message1));
}

TEST(HandshakeState, ResponderMayLearnThePskFromMessage1) {
  const HandshakeKeys keys;
  HandshakeState initiator(keys.initiator());
  HandshakeOptions options = keys.responder();
  options.psk.reset();
  HandshakeState responder(std::move(options));
  ASSERT_TRUE(responder.read_message(initiator.write_message({}).value()));
  responder.set_psk(filled_key(5));
  EXPECT_TRUE(initiator.read_message(responder.write_message({}).value()));
}

TEST(HandshakeState, NoMessage2WithoutPsk) {
  const HandshakeKeys keys;
  HandshakeOptions options = keys.responder();
  options.psk.reset();
  HandshakeState responder(std::move(options));
  const Bytes message1 = HandshakeState(keys.initiator()).write_message({}).value();
  ASSERT_TRUE(responder.read_message(message1));
  EXPECT_EQ(responder.write_message({}).error().kind, ErrorKind::kProtocol);
  responder.set_psk(filled_key(5));
  EXPECT_TRUE(is_dead(responder, message1));
}

}  // namespace
}  // namespace zks::crypto
