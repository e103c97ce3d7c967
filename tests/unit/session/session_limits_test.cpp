// SPDX-License-Identifier: MIT
//
// Bounds that a session keeps: streams, memory for data that waits, and GOAWAY as the bound on all of them.
#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::count_of;
using test::find_event;
using test::options_of;
using test::Peer;
using test::read;
using test::SessionPair;
using test::write;

const Destination kThere = test::to_ipv4({192, 0, 2, 1}, 80);

Options with_max_streams(Role role, std::uint64_t max_streams) {
  Options options = options_of(role);
  options.max_streams = max_streams;
  return options;
}

TEST(SessionLimits, TheClientKeepsToItsOwnMaximum) {
  SessionPair pair(with_max_streams(Role::kClient, 3));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.client.streams().open(kThere, pair.now));
  const auto fourth = pair.client.streams().open(kThere, pair.now);
  ASSERT_FALSE(fourth);
  EXPECT_EQ(fourth.error().kind, ErrorKind::kLimit);
}

TEST(SessionLimits, TheClientKeepsToTheExitsMaximum) {
  SessionPair pair(options_of(Role::kClient), with_max_streams(Role::kExit, 3));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.client.streams().open(kThere, pair.now));
  EXPECT_FALSE(pair.client.streams().open(kThere, pair.now));
}

TEST(SessionLimits, AStreamThatIsForgottenMakesRoom) {
  SessionPair pair(options_of(Role::kClient), with_max_streams(Role::kExit, 1));
  for (int i = 0; i < 100; ++i) {
    const StreamId id = pair.connect();
    EXPECT_FALSE(pair.client.streams().open(kThere, pair.now));
    if (i % 2 == 0) {
      pair.finish(id);
    } else {
      pair.client.streams().reset(id, ResetCode::kCancelled);
      pair.pump();
    }
  }
  EXPECT_EQ(pair.client.streams().size(), 0U);
  EXPECT_EQ(pair.exit.streams().size(), 0U);
}

TEST(SessionLimits, TheExitRefusesStreamsAboveItsMaximum) {
  Peer client(Role::kClient, with_max_streams(Role::kExit, 2));
  client.greet();
  for (StreamId id = 0; id < 8; id += 2) ASSERT_TRUE(client.send({OpenFrame{id, kThere, 0}}));
  EXPECT_EQ(count_of<OpenEvent>(client.session.take_events()), 2U);
  const auto refusals = client.take().all<ResetFrame>();
  ASSERT_EQ(refusals.size(), 2U);
  EXPECT_EQ(refusals[0].stream, 4U);
  EXPECT_EQ(refusals[0].code, ResetCode::kLimit);
  ASSERT_TRUE(client.send({DoneFrame{4}, DoneFrame{6}}));
  EXPECT_EQ(client.session.streams().size(), 2U);
}

TEST(SessionLimits, OfTheHalfClosedTheOneThatIsSilentLongestIsSpared) {
  SessionPair pair;
  const StreamId whole = pair.connect();
  const StreamId first = pair.connect();
  const StreamId second = pair.connect();
  EXPECT_FALSE(pair.client.streams().longest_half_closed());
  pair.now += 10s;
  pair.client.streams().finish(second);
  pair.client.streams().finish(first);
  EXPECT_EQ(pair.client.streams().longest_half_closed(), first) << "both silent since they were opened";
  EXPECT_FALSE(pair.client.streams().half_closed_since(whole));
  ASSERT_EQ(write(pair.exit, first, 10, 0), 10U);
  pair.pump();
  ASSERT_EQ(read(pair.client, first, 10, 0, pair.now), 10U);
  EXPECT_EQ(pair.client.streams().longest_half_closed(), second);
  pair.client.streams().reset(second, ResetCode::kLimit);
  EXPECT_EQ(pair.client.streams().longest_half_closed(), first);
  pair.exit.streams().finish(whole);
  pair.pump();
  pair.client.streams().consume_end(whole);
  EXPECT_FALSE(pair.client.streams().half_closed_since(whole))
      << "the destination's end is not its program's";
}

TEST(SessionLimits, AtTheExitAHalfClosedStreamMakesRoom) {
  Peer client(Role::kClient, with_max_streams(Role::kExit, 2));
  client.greet();
  const StreamId given_up = client.open(100);
  const StreamId whole = client.open(100);
  ASSERT_TRUE(client.send({FinFrame{given_up, 0}}));
  client.session.streams().consume_end(given_up);
  client.take_all();
  client.session.take_events();
  ASSERT_TRUE(client.send({OpenFrame{whole + 2, kThere, 0}}));
  const auto events = client.session.take_events();
  const auto* reset = find_event<ResetEvent>(events);
  ASSERT_NE(reset, nullptr);
  EXPECT_EQ(reset->stream, given_up);
  EXPECT_EQ(count_of<OpenEvent>(events), 1U);
  const auto told = client.take().all<ResetFrame>();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].stream, given_up);
  EXPECT_EQ(told[0].code, ResetCode::kLimit);
  ASSERT_TRUE(client.send({OpenFrame{whole + 4, kThere, 0}}));
  EXPECT_EQ(count_of<OpenEvent>(client.session.take_events()), 0U) << "both others are whole";
}

TEST(SessionLimits, GoawayEndsOpeningOnBothSides) {
  SessionPair pair;
  const StreamId id = pair.connect();
  pair.exit.go_away(GoawayCode::kShutdown, "bye");
  EXPECT_FALSE(pair.exit.goaway_sent());
  // An OPEN that crosses GOAWAY is refused, what is open goes on.
  const StreamId crossing = pair.client.streams().open(kThere, pair.now).value();
  pair.pump();
  EXPECT_TRUE(pair.exit.goaway_sent());
  const auto* goaway = find_event<GoawayEvent>(pair.client_events);
  ASSERT_NE(goaway, nullptr);
  EXPECT_EQ(goaway->code, GoawayCode::kShutdown);
  EXPECT_EQ(goaway->text, "bye");
  const auto* refused = find_event<ResetEvent>(pair.client_events);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->stream, crossing);
  EXPECT_EQ(count_of<OpenEvent>(pair.exit_events), 0U);
  const auto another = pair.client.streams().open(kThere, pair.now);
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().kind, ErrorKind::kClosed);
  EXPECT_EQ(write(pair.exit, id, 1000, 0), 1000U);
  pair.pump();
  EXPECT_EQ(read(pair.client, id, 1000, 0, pair.now), 1000U);
}

TEST(SessionLimits, GoawayGoesOutOnceAndItsTextIsCut) {
  Peer client(Role::kClient);
  client.session.go_away(GoawayCode::kProtocolError, std::string(10'000, 'x'));
  client.session.go_away(GoawayCode::kShutdown, "again");
  const auto frames = client.take().all<GoawayFrame>();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].code, GoawayCode::kProtocolError);
  EXPECT_EQ(frames[0].text.size(), kMaxGoawayText);
  EXPECT_TRUE(client.take_all().empty());
}

TEST(SessionLimits, AReaderThatStopsBoundsTheMemoryOfBothSides) {
  SessionPair pair;
  const StreamId id = pair.connect();
  std::size_t written = 0;
  for (int i = 0; i < 100; ++i) {
    written += write(pair.exit, id, 1'000'000, written);
    pair.run_for(50ms);
  }
  EXPECT_EQ(written, kFirstWindow) << "what the client has reserved memory for";
  EXPECT_EQ(pair.client.streams().memory_bytes(), kFirstWindow);
  EXPECT_EQ(pair.exit.streams().memory_bytes(), kFirstWindow);
  EXPECT_EQ(read(pair.client, id, kFirstWindow, 0, pair.now), kFirstWindow);
  pair.pump();
  EXPECT_EQ(count_of<RoomEvent>(pair.exit_events), 1U);
  EXPECT_EQ(pair.exit.streams().buffered_to_send(), 0U);
  EXPECT_EQ(pair.exit.streams().memory_bytes(), 0U);
}

TEST(SessionLimits, AHundredReadersThatStopKeepWithinTheReceiveMemory) {
  SessionPair pair;
  std::vector<StreamId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(pair.connect());
  std::vector<std::size_t> written(100, 0);
  for (int round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < ids.size(); ++i)
      written[i] += write(pair.exit, ids[i], 1'000'000, written[i]);
    pair.pump();
  }
  EXPECT_LE(pair.client.streams().memory_bytes(), 64U * 1024 * 1024);
  EXPECT_LE(pair.exit.streams().buffered_to_send(), 64U * 1024 * 1024);
  const StreamId fresh = pair.connect();
  EXPECT_GE(write(pair.exit, fresh, 1'000'000, 0), 2 * kMinWindow) << "the next stream is not starved";
}

// Sessions whose sender may hold 32 KiB for all streams together.
class LittleSendMemory : public ::testing::Test {
 protected:
  static Options exit_options() {
    Options options = options_of(Role::kExit);
    options.send_memory_bytes = 32 * 1024;
    return options;
  }
  SessionPair pair_{options_of(Role::kClient), exit_options()};
};

TEST_F(LittleSendMemory, HoldsWritersBackAndTellsThemWhenItCameFree) {
  const StreamId first = pair_.connect();
  const StreamId second = pair_.connect();
  const std::size_t held = write(pair_.exit, first, 1'000'000, 0);
  EXPECT_LE(held, 32U * 1024 + 4 * kBlockBytes);
  EXPECT_EQ(write(pair_.exit, second, 10, 0), 0U);
  pair_.pump();
  EXPECT_EQ(pair_.exit.streams().buffered_to_send(), held) << "sent, but not consumed";
  EXPECT_EQ(read(pair_.client, first, held, 0, pair_.now), held);
  pair_.run_for(200ms);
  EXPECT_EQ(pair_.exit.streams().buffered_to_send(), 0U);
  EXPECT_EQ(count_of<RoomEvent>(pair_.exit_events), 2U);
  EXPECT_EQ(write(pair_.exit, second, 10, 0), 10U);
}

TEST_F(LittleSendMemory, AResetFreesItForOthers) {
  const StreamId first = pair_.connect();
  const StreamId second = pair_.connect();
  write(pair_.exit, first, 1'000'000, 0);
  EXPECT_EQ(write(pair_.exit, second, 10, 0), 0U);
  pair_.take_events();
  pair_.exit.streams().reset(first, ResetCode::kConnectionReset);
  pair_.keep_events();
  const auto* room = find_event<RoomEvent>(pair_.exit_events);
  ASSERT_NE(room, nullptr);
  EXPECT_EQ(room->stream, second);
}

TEST_F(LittleSendMemory, ANewLimitWhileItIsFullIsNotForgotten) {
  Peer client(Role::kClient, exit_options());
  client.greet();
  const StreamId waiting = client.open(100);
  EXPECT_EQ(write(client.session, waiting, 1000, 0), 100U) << "held back by its credit, not by memory";
  const StreamId full = client.open(1'000'000);
  std::array<MutableBytes, 4> pieces;
  ASSERT_EQ(client.session.streams().prepare(full, 64 * 1024, pieces), 4U);
  client.session.streams().commit(full, 4 * kBlockBytes);
  client.take_all();
  client.session.take_events();
  ASSERT_TRUE(client.send({CreditFrame{waiting, 100, 10'000}}));
  EXPECT_EQ(count_of<RoomEvent>(client.session.take_events()), 0U) << "there is no memory";
  ASSERT_TRUE(client.send({CreditFrame{full, 4 * kBlockBytes, 1'000'000}}));
  const auto events = client.session.take_events();
  const auto* room = find_event<RoomEvent>(events);
  ASSERT_NE(room, nullptr) << "nobody else would wake it";
  EXPECT_EQ(room->stream, waiting);
}

}  // namespace
}  // namespace zks::session
