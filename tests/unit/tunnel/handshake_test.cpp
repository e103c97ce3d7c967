// SPDX-License-Identifier: MIT
#include "tunnel/handshake.hpp"

#include <gtest/gtest.h>

#include "handshake_fixture.hpp"

namespace zks::tunnel {
namespace {

namespace asio = boost::asio;
using test::Handshake;
using test::MessageType;
using test::Outcome;

constexpr std::size_t kMessage1Bytes = crypto::kMessage1Overhead + 10;
constexpr std::size_t kMessage2Bytes = crypto::kMessage2Overhead + 2;

// Seals `text` with one side's keys and opens it with the other's.
bool carries(crypto::RecordSealer& sealer, crypto::RecordOpener& opener, std::string_view text) {
  Bytes record(text.size() + crypto::kRecordOverhead);
  std::copy(text.begin(), text.end(), record.begin() + crypto::kRecordHeader);
  if (!sealer.seal(record)) return false;
  const auto opened = opener.open(record);
  return opened && as_text(*opened) == text;
}

void expect_refused(const Outcome& outcome) {
  ASSERT_TRUE(outcome.client && outcome.exit);
  ASSERT_FALSE(*outcome.client);
  EXPECT_EQ(outcome.client->error().kind, ErrorKind::kRefused);
  EXPECT_EQ(outcome.client->error().detail, carrier::close_code::kForbidden);
  ASSERT_FALSE(*outcome.exit);
  EXPECT_EQ(outcome.exit->error().kind, ErrorKind::kRefused);
}

TEST(TunnelHandshake, BothSidesHaveTheSameKeys) {
  const Handshake handshake;
  Outcome outcome = handshake.run();
  ASSERT_TRUE(outcome.client && *outcome.client);
  ASSERT_TRUE(outcome.exit && *outcome.exit);
  LaneKeys& client = **outcome.client;
  Accepted& exit = **outcome.exit;
  EXPECT_EQ(exit.claim.invite, handshake.party.invite);
  EXPECT_EQ(exit.claim.client_key, handshake.party.client_key.public_key);
  EXPECT_EQ(client.relay_window_bytes, 16U * 1024 * 1024);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(carries(client.sealer, exit.keys.opener, "to the exit"));
    EXPECT_TRUE(carries(exit.keys.sealer, client.opener, "to the client"));
  }
}

TEST(TunnelHandshake, AnUnknownInviteIsRefused) {
  Handshake handshake;
  handshake.authorize = [](const Claim&) -> Result<Key> { return make_error(ErrorKind::kRefused, "no"); };
  expect_refused(handshake.run());
}

TEST(TunnelHandshake, AnEphemeralThatWasSeenIsRefusedBeforeAnybodyIsAsked) {
  Handshake handshake;
  bool asked = false;
  PublicKey shown{};
  handshake.is_new = [&](const PublicKey& ephemeral) {
    shown = ephemeral;
    return false;
  };
  handshake.authorize = [&](const Claim&) -> Result<Key> {
    asked = true;
    return make_error(ErrorKind::kRefused, "no");
  };
  expect_refused(handshake.run());
  EXPECT_FALSE(asked);
  EXPECT_NE(shown, PublicKey{});
}

TEST(TunnelHandshake, ATroubleOfTheExitMeansLaterAndIsNoRefusal) {
  for (const ErrorKind kind : {ErrorKind::kIo, ErrorKind::kUsage, ErrorKind::kLimit}) {
    Handshake handshake;
    handshake.authorize = [kind](const Claim&) -> Result<Key> {
      return make_error(kind, "a file is damaged");
    };
    const Outcome outcome = handshake.run();
    ASSERT_TRUE(outcome.exit && !*outcome.exit);
    EXPECT_EQ(outcome.exit->error(), make_error(kind, "a file is damaged"));
    ASSERT_TRUE(outcome.client && !*outcome.client);
    EXPECT_EQ(outcome.client->error(), not_now());
    // Who can't make a message 1 learns nothing of it.
    handshake.to_exit = test::Alteration{0, 40};
    expect_refused(handshake.run());
  }
}

TEST(TunnelHandshake, AWrongPskLooksLikeARefusalToTheClient) {
  Handshake handshake;
  handshake.authorize = [](const Claim&) -> Result<Key> { return test::filled_key(6); };
  const Outcome outcome = handshake.run();
  ASSERT_TRUE(outcome.client && !*outcome.client);
  Handshake unknown;
  unknown.authorize = [](const Claim&) -> Result<Key> { return make_error(ErrorKind::kRefused, "no"); };
  const Outcome refusal = unknown.run();
  ASSERT_TRUE(refusal.client && !*refusal.client);
  EXPECT_EQ(outcome.client->error(), refusal.client->error());
}

TEST(TunnelHandshake, AnotherRoomOrAnotherRelayKeyGetsNoSession) {
  Handshake other_room;
  other_room.exits_room[0] ^= 1;
  expect_refused(other_room.run());
  Handshake other_key;
  other_key.exits_remote_key = 5;
  expect_refused(other_key.run());
}

TEST(TunnelHandshake, EveryByteOfMessage1ChangedIsRefused) {
  Handshake handshake;
  for (std::size_t at = 0; at < kMessage1Bytes; ++at) {
    SCOPED_TRACE(at);
    handshake.to_exit = test::Alteration{0, at};
    expect_refused(handshake.run());
  }
}

TEST(TunnelHandshake, Message1CutAtEveryLengthIsRefused) {
  Handshake handshake;
  for (std::size_t size = 0; size < kMessage1Bytes; ++size) {
    SCOPED_TRACE(size);
    handshake.to_exit = test::Alteration{0, SIZE_MAX, size};
    expect_refused(handshake.run());
  }
}

TEST(TunnelHandshake, Message2ChangedOrCutIsRefusedByTheClient) {
  Handshake handshake;
  for (std::size_t at = 0; at < kMessage2Bytes; ++at) {
    SCOPED_TRACE(at);
    for (const test::Alteration& alteration : {test::Alteration{0, at}, test::Alteration{0, SIZE_MAX, at}}) {
      handshake.to_client = alteration;
      const Outcome outcome = handshake.run();
      ASSERT_TRUE(outcome.client && !*outcome.client);
      EXPECT_EQ(outcome.client->error().kind, ErrorKind::kRefused);
    }
  }
}

asio::awaitable<void> play_exit(carrier::Carrier* carrier, bool* echoed, std::size_t* message1_bytes) {
  carrier::Buffer buffer;
  const auto first = co_await carrier->read(buffer);
  *message1_bytes = first ? buffer.size() : 0;
  const std::string mark = carrier::encode_control(carrier::Mark{"m1"});
  const auto sent = co_await carrier->write(MessageType::kText, as_bytes(mark));
  if (!sent) co_return;
  const auto second = co_await carrier->read(buffer);
  *echoed = second && *second == MessageType::kText &&
            as_text({static_cast<const std::uint8_t*>(buffer.cdata().data()), buffer.size()}) == mark;
  carrier->abort();
}

TEST(TunnelHandshake, RelayMarksAreEchoedMeanwhile) {
  asio::io_context io;
  const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
  const test::Party party;
  Outcome outcome;
  bool echoed = false;
  std::size_t message1_bytes = 0;
  zks::test::run(io, test::run_client(pair.first.get(), &party, test::make_paired(), &outcome),
                 play_exit(pair.second.get(), &echoed, &message1_bytes));
  EXPECT_TRUE(echoed);
  EXPECT_EQ(message1_bytes, kMessage1Bytes);
  ASSERT_TRUE(outcome.client && !*outcome.client);
  EXPECT_EQ(outcome.client->error().kind, ErrorKind::kClosed);
}

asio::awaitable<void> send_texts(carrier::Carrier* carrier, std::vector<std::string> texts) {
  for (const std::string& text : texts) {
    const auto sent = co_await carrier->write(MessageType::kText, as_bytes(text));
    if (!sent) co_return;
  }
}

// A relay has no reason for a second key before the first record, so the lane does not begin.
TEST(TunnelHandshake, AKeyOfAnotherEpochMeanwhileIsAnError) {
  asio::io_context io;
  const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
  const test::Party party;
  Outcome outcome;
  const std::string key = carrier::encode_control(carrier::NewKey{1, Key::random()});
  zks::test::run(io, test::run_client(pair.first.get(), &party, test::make_paired(), &outcome),
                 send_texts(pair.second.get(), {key}));
  ASSERT_TRUE(outcome.client && !*outcome.client);
  EXPECT_EQ(outcome.client->error().kind, ErrorKind::kProtocol);
}

asio::awaitable<void> close_with(carrier::Carrier* carrier, std::uint16_t code) {
  const auto closed = co_await carrier->close(code);
  (void)closed;
}

asio::awaitable<void> pair_up(carrier::Carrier* carrier, std::optional<Result<carrier::Paired>>* out) {
  auto paired = co_await read_paired(*carrier);
  out->emplace(std::move(paired));
}

Result<carrier::Paired> paired_after(const std::string& text) {
  asio::io_context io;
  const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
  std::optional<Result<carrier::Paired>> out;
  zks::test::run(io, send_texts(pair.second.get(), {text}), pair_up(pair.first.get(), &out));
  return std::move(*out);
}

TEST(TunnelHandshake, PairedIsTheFirstMessage) {
  const auto good = paired_after(carrier::encode_control(test::make_paired()));
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->remote_key.equals(test::filled_key(4).view()));
  const auto other_version = paired_after(carrier::encode_control(carrier::Paired{2, 0, Key(), 1}));
  ASSERT_FALSE(other_version);
  EXPECT_EQ(other_version.error().kind, ErrorKind::kProtocol);
  EXPECT_FALSE(paired_after(carrier::encode_control(carrier::Paired{1, 1, Key(), 1})));
  EXPECT_FALSE(paired_after(carrier::encode_control(carrier::Mark{"x"})));
  EXPECT_FALSE(paired_after("{}"));
}

TEST(TunnelHandshake, ACloseBeforePairingSaysWhy) {
  const std::array<std::pair<std::uint16_t, ErrorKind>, 3> cases = {{
      {carrier::close_code::kNoExit, ErrorKind::kRefused},
      {carrier::close_code::kPairGone, ErrorKind::kClosed},
      {carrier::close_code::kRestart, ErrorKind::kClosed},
  }};
  for (const auto& [code, kind] : cases) {
    asio::io_context io;
    const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
    std::optional<Result<carrier::Paired>> out;
    zks::test::run(io, close_with(pair.second.get(), code), pair_up(pair.first.get(), &out));
    ASSERT_TRUE(out && !*out);
    EXPECT_EQ(out->error().kind, kind);
    EXPECT_EQ(out->error().detail, code);
  }
}

}  // namespace
}  // namespace zks::tunnel
