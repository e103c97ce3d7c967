// SPDX-License-Identifier: MIT
//
// What a peer may not do: each of these is kProtocol. And what only looks late, and is ignored.
#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using test::options_of;
using test::Peer;

const Destination kThere = test::to_ipv4({192, 0, 2, 1}, 80);

// Plays the client to an exit's session, before HELLO.
Peer silent_client() {
  return Peer(Role::kClient, options_of(Role::kExit));
}

TEST(SessionViolations, MalformedFrame) {
  Peer client(Role::kClient);
  const Bytes garbage = {0x03, 0x00};
  const auto taken = client.session.receive(1, garbage, garbage.size() + test::kOverhead, client.now);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::kProtocol);
}

TEST(SessionViolations, AnythingBeforeHello) {
  EXPECT_TRUE(silent_client().breaks_protocol({PingFrame{}}));
  EXPECT_TRUE(silent_client().breaks_protocol({PaddingFrame{}}));
  EXPECT_TRUE(silent_client().breaks_protocol({OpenFrame{0, kThere, 0}}));
}

TEST(SessionViolations, HelloTwice) {
  Peer client(Role::kClient);
  EXPECT_TRUE(client.breaks_protocol({client.hello()}));
}

TEST(SessionViolations, HelloFromTheWrongSide) {
  Peer client = silent_client();
  EXPECT_TRUE(client.breaks_protocol({client.welcome()}));
  Peer exit(Role::kExit, test::options_of(Role::kClient));
  EXPECT_TRUE(exit.breaks_protocol({exit.hello()}));
}

TEST(SessionViolations, HelloForAnotherSessionOrLane) {
  Peer client = silent_client();
  HelloFrame other_session = client.hello();
  other_session.session[0] ^= 1;
  EXPECT_TRUE(client.breaks_protocol({other_session}));
  HelloFrame other_lane = client.hello();
  other_lane.lane = 2;
  EXPECT_TRUE(silent_client().breaks_protocol({other_lane}));
}

TEST(SessionViolations, LaneAckForBytesThatWereNotSent) {
  Peer client(Role::kClient);
  const auto sent = client.take_all();
  EXPECT_TRUE(sent.empty());
  EXPECT_TRUE(client.breaks_protocol({LaneAckFrame{1'000'000}}));
}

TEST(SessionViolations, OpenFromTheWrongSide) {
  Peer client(Role::kClient);
  EXPECT_TRUE(client.breaks_protocol({OpenFrame{1, kThere, 1000}}));
  Peer exit(Role::kExit);
  EXPECT_TRUE(exit.breaks_protocol({OpenFrame{1, kThere, 1000}}));
  Peer second(Role::kExit);
  EXPECT_TRUE(second.breaks_protocol({OpenFrame{2, kThere, 1000}}));
}

TEST(SessionViolations, OpenedForAStreamOfTheOtherSide) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  EXPECT_TRUE(client.breaks_protocol({OpenedFrame{id, 1000, kThere}}));
}

TEST(SessionViolations, OpenedBoundToAName) {
  Peer exit(Role::kExit);
  const StreamId id = exit.session.streams().open(kThere, exit.now).value();
  exit.take_all();
  EXPECT_TRUE(exit.breaks_protocol({OpenedFrame{id, 1000, test::to_name("x", 1)}}));
}

TEST(SessionViolations, StreamFramesBeforeOpened) {
  const std::vector<Frame> early = {DataFrame{0, 0, test::golden_data()}, FinFrame{0, 0},
                                    CreditFrame{0, 0, 9}};
  for (const Frame& frame : early) {
    Peer exit(Role::kExit);
    ASSERT_EQ(exit.session.streams().open(kThere, exit.now).value(), 0U);
    exit.take_all();
    EXPECT_TRUE(exit.breaks_protocol({frame})) << "to a client, frame " << frame.index();
    Peer client(Role::kClient);
    ASSERT_TRUE(client.send({OpenFrame{0, kThere, 1000}}));
    EXPECT_TRUE(client.breaks_protocol({frame})) << "to an exit, frame " << frame.index();
  }
}

TEST(SessionViolations, FramesForAStreamThatWasNeverOpened) {
  const std::vector<Frame> frames = {
      OpenedFrame{2, 0, kThere}, DataFrame{2, 0, test::golden_data()}, FinFrame{2, 0},
      CreditFrame{2, 0, 0},      ResetFrame{2, ResetCode::kCancelled}, DoneFrame{2}};
  for (const Frame& frame : frames) {
    Peer exit(Role::kExit);
    exit.open(1000);
    EXPECT_TRUE(exit.breaks_protocol({frame})) << frame.index();
  }
}

TEST(SessionViolations, DataBeyondTheLimit) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  EXPECT_TRUE(client.breaks_protocol({DataFrame{id, kFirstWindow - 2, test::golden_data()}}));
  Peer second(Role::kClient);
  second.open(1000);
  EXPECT_TRUE(second.send({DataFrame{id, kFirstWindow - 3, test::golden_data()}})) << "up to it";
}

TEST(SessionViolations, TooManyGaps) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  for (std::uint64_t i = 0; i < kMaxGaps; ++i) {
    ASSERT_TRUE(client.send({DataFrame{id, 10 + 10 * i, test::golden_data()}}));
  }
  EXPECT_TRUE(client.breaks_protocol({DataFrame{id, 10 + 10 * kMaxGaps, test::golden_data()}}));
}

TEST(SessionViolations, FinalOffsetThatChangesOrLies) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  ASSERT_TRUE(client.send({DataFrame{id, 0, test::golden_data()}, FinFrame{id, 3}}));
  EXPECT_TRUE(client.breaks_protocol({FinFrame{id, 4}}));
  Peer second(Role::kClient);
  second.open(1000);
  ASSERT_TRUE(second.send({DataFrame{id, 0, test::golden_data()}}));
  EXPECT_TRUE(second.breaks_protocol({FinFrame{id, 2}}));
  Peer third(Role::kClient);
  third.open(1000);
  ASSERT_TRUE(third.send({FinFrame{id, 2}}));
  EXPECT_TRUE(third.breaks_protocol({DataFrame{id, 0, test::golden_data()}}));
}

TEST(SessionViolations, CreditForBytesThatWereNotSent) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  test::write(client.session, id, 10, 0);
  EXPECT_TRUE(client.breaks_protocol({CreditFrame{id, 1, 1000}})) << "written, but not sent";
}

TEST(SessionViolations, CreditForAFinThatWasNotSent) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  client.session.streams().finish(id);
  EXPECT_TRUE(client.breaks_protocol({CreditFrame{id, 1, 1000}}));
}

TEST(SessionViolations, DoneForAStreamThatIsNotOver) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  EXPECT_TRUE(client.breaks_protocol({DoneFrame{id}}));
  Peer second(Role::kClient);
  ASSERT_TRUE(second.send({OpenFrame{0, kThere, 1000}}));
  EXPECT_TRUE(second.breaks_protocol({DoneFrame{0}})) << "still connecting";
}

TEST(SessionViolations, MoreStreamsThanTwiceTheMaximum) {
  Options options = options_of(Role::kExit);
  options.max_streams = 4;
  Peer client(Role::kClient, options);
  client.greet();
  for (StreamId id = 0; id < 16; id += 2) ASSERT_TRUE(client.send({OpenFrame{id, kThere, 0}})) << id;
  EXPECT_TRUE(client.breaks_protocol({OpenFrame{16, kThere, 0}}));
}

TEST(SessionViolations, LateFramesForAForgottenStreamAreIgnored) {
  Peer exit(Role::kExit);
  const StreamId id = exit.open(1000);
  ASSERT_TRUE(exit.send({ResetFrame{id, ResetCode::kTimedOut}}));
  exit.take_all();
  ASSERT_TRUE(exit.send({DoneFrame{id}}));
  ASSERT_EQ(exit.session.streams().size(), 0U);
  EXPECT_TRUE(exit.send({OpenedFrame{id, 0, kThere}, DataFrame{id, 0, test::golden_data()}, FinFrame{id, 0},
                         CreditFrame{id, 999, 0}, ResetFrame{id, ResetCode::kCancelled}, DoneFrame{id}}));
  EXPECT_EQ(exit.session.streams().size(), 0U);
  Peer client(Role::kClient);
  EXPECT_TRUE(client.send({DataFrame{8, 0, test::golden_data()}, FinFrame{8, 0}, CreditFrame{8, 999, 0},
                           ResetFrame{8, ResetCode::kCancelled}, DoneFrame{8}}))
      << "an exit can't know which ids a client has used";
  EXPECT_EQ(client.session.streams().size(), 0U);
}

TEST(SessionViolations, LateFramesForAResetStreamAreIgnored) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  client.session.streams().reset(id, ResetCode::kConnectionReset);
  EXPECT_TRUE(client.send({DataFrame{id, 1 << 30, test::golden_data()}, FinFrame{id, 1}, FinFrame{id, 2},
                           CreditFrame{id, 999, 0}, ResetFrame{id, ResetCode::kCancelled}}));
  EXPECT_EQ(client.session.streams().memory_bytes(), 0U);
}

TEST(SessionViolations, PongWithAnotherTokenIsIgnored) {
  Peer client(Role::kClient);
  const auto before = client.session.round_trip(1);
  EXPECT_TRUE(client.send({PongFrame{Token{1, 2, 3}}}));
  EXPECT_EQ(client.session.round_trip(1), before);
}

}  // namespace
}  // namespace zks::session
