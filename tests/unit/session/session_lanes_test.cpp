// SPDX-License-Identifier: MIT
//
// Several lanes of one session: where streams go, what moves when a lane dies, and who may say so.
#include <gtest/gtest.h>

#include "session_fixture.hpp"

namespace zks::session {
namespace {

using test::Record;
using State = TableEntry::State;

// Client and exit with two lanes; records are carried lane by lane.
class Lanes : public testing::Test {
 protected:
  Lanes() : client(test::options_of(Role::kClient)), exit(test::options_of(Role::kExit)) {
    attach(1, HelloMode::kNew);
    attach(2, HelloMode::kJoin);
    client.take_events();
    exit.take_events();
  }

  void attach(LaneNumber number, HelloMode mode) {
    LaneOptions lane;
    lane.number = number;
    lane.mode = mode;
    client.attach_lane(lane, now);
    exit.attach_lane(lane, now);
    pump(number);
  }

  Record take(Session& from, LaneNumber lane) {
    Record record;
    record.bytes.resize(test::kRecordRoom);
    record.bytes.resize(from.fill(lane, record.bytes, now));
    ByteReader in(record.bytes);
    while (!in.empty()) record.frames.push_back(std::move(*decode_frame(in)));
    return record;
  }
  Result<> give(Session& to, LaneNumber lane, const Record& record) {
    return to.receive(lane, record.bytes, record.size(), now);
  }
  // Frames of a peer's own choice.
  Result<> say(Session& to, LaneNumber lane, const std::vector<Frame>& frames) {
    Bytes bytes(4096);
    ByteWriter out(bytes);
    for (const Frame& frame : frames) EXPECT_TRUE(encode_frame(out, frame));
    return to.receive(lane, ByteView(bytes).first(out.written()), out.written() + test::kOverhead, now);
  }
  bool breaks_protocol(Session& to, LaneNumber lane, const std::vector<Frame>& frames) {
    const auto taken = say(to, lane, frames);
    return !taken && taken.error().kind == ErrorKind::kProtocol;
  }
  void pump(LaneNumber lane) {
    for (bool moved = true; moved;) {
      moved = false;
      for (Session* from : {&client, &exit}) {
        const Record record = take(*from, lane);
        if (record.empty()) continue;
        EXPECT_TRUE(give(from == &client ? exit : client, lane, record));
        moved = true;
      }
    }
  }
  StreamId open() {
    const auto id = client.streams().open(test::to_name("example.org", 443), now);
    for (const LaneNumber lane : {1, 2, 3}) pump(lane);
    exit.streams().accept(*id, test::to_ipv4({192, 0, 2, 1}, 5000));
    for (const LaneNumber lane : {1, 2, 3}) pump(lane);
    client.take_events();
    exit.take_events();
    return *id;
  }
  // Writes, and carries what comes of it on `lane` only.
  void expect_arrives_by(LaneNumber lane, StreamId id, std::uint64_t offset) {
    test::write(client, id, 1'000, offset);
    pump(lane);
    EXPECT_EQ(test::read(exit, id, 1'000, offset, now), 1'000U);
  }

  TimePoint now = test::kStart;
  Session client;
  Session exit;
};

TEST_F(Lanes, AStreamGoesToTheLaneWithTheFewest) {
  const StreamId first = open();  // on the newest of two empty ones
  const StreamId second = open();
  expect_arrives_by(2, first, 0);
  expect_arrives_by(1, second, 0);
}

TEST_F(Lanes, StreamsOfADeadLaneMoveAndOthersAreNotHeld) {
  const StreamId moving = open();
  const StreamId staying = open();
  expect_arrives_by(2, moving, 0);
  test::write(client, moving, 1'000, 1'000);
  take(client, 2);  // lost on its way
  client.lose_lane(2);
  test::write(client, staying, 1'000, 0);
  const Record declared = take(client, 1);
  ASSERT_TRUE(declared.has<LaneDownFrame>());
  EXPECT_EQ(declared.all<LaneDownFrame>()[0].lanes, std::vector<LaneNumber>{2});
  ASSERT_EQ(declared.all<TableFrame>().size(), 1U);
  EXPECT_EQ(declared.all<TableFrame>()[0].entries.size(), 1U) << "only what was on the dead lane";
  ASSERT_EQ(declared.all<DataFrame>().size(), 1U) << "the other stream goes on";
  EXPECT_EQ(declared.all<DataFrame>()[0].stream, staying);
  ASSERT_TRUE(give(exit, 1, declared));
  const auto events = exit.take_events();
  ASSERT_NE(test::find_event<LaneDownEvent>(events), nullptr);
  EXPECT_EQ(test::find_event<LaneDownEvent>(events)->lane, 2U);
  pump(1);
  EXPECT_EQ(test::read(exit, moving, 1'000, 1'000, now), 1'000U);
  EXPECT_EQ(client.lanes(), 1U);
  EXPECT_EQ(exit.lanes(), 1U);
}

TEST_F(Lanes, AnExitThatLostALaneTellsAndTheClientMovesTheStreams) {
  const StreamId id = open();
  exit.lose_lane(2);
  const Record told = take(exit, 1);
  ASSERT_TRUE(told.has<LaneDownFrame>());
  EXPECT_FALSE(told.has<TableFrame>()) << "the client chooses where they go";
  ASSERT_TRUE(give(client, 1, told));
  EXPECT_NE(test::find_event<LaneDownEvent>(client.take_events()), nullptr);
  pump(1);
  expect_arrives_by(1, id, 0);
}

TEST_F(Lanes, ASecondDeathWithinTheExchangeIsDeclaredTogetherWithTheFirst) {
  attach(3, HelloMode::kJoin);
  const StreamId a = open();  // 3
  const StreamId b = open();  // 2
  client.lose_lane(3);
  ASSERT_TRUE(give(exit, 1, take(client, 1)));  // to the emptiest: the exit has moved `a`
  take(exit, 1);                                // its table is lost
  client.lose_lane(1);
  const Record again = take(client, 2);
  ASSERT_TRUE(again.has<LaneDownFrame>());
  EXPECT_EQ(again.all<LaneDownFrame>()[0].lanes, (std::vector<LaneNumber>{1, 3}));
  ASSERT_TRUE(give(exit, 2, again));
  pump(2);
  expect_arrives_by(2, a, 0);
  expect_arrives_by(2, b, 0);
}

TEST_F(Lanes, ALaneThatDiesDuringAnExchangeWaitsForItsEnd) {
  open();
  open();
  client.lose_lane(2);
  const Record first = take(client, 1);
  EXPECT_TRUE(first.has<LaneDownFrame>());
  LaneOptions joining;
  joining.number = 3;
  joining.mode = HelloMode::kJoin;
  client.attach_lane(joining, now);
  client.lose_lane(3);  // before the exit heard of it
  EXPECT_EQ(client.lanes(), 3U) << "one alive, one declared, one to be declared";
  EXPECT_FALSE(take(client, 1).has<LaneDownFrame>());
  ASSERT_TRUE(give(exit, 1, first));
  ASSERT_TRUE(give(client, 1, take(exit, 1)));
  const Record second = take(client, 1);
  ASSERT_TRUE(second.has<LaneDownFrame>());
  ASSERT_TRUE(give(exit, 1, second));
  EXPECT_EQ(exit.newest_lane(), 3U) << "its HELLO would be too late";
  pump(1);
  EXPECT_EQ(client.lanes(), 1U);
}

TEST_F(Lanes, WithoutALaneTheDeadAreDeclaredOnTheOneThatJoinsNext) {
  const StreamId id = open();
  LaneOptions joining;
  joining.number = 3;
  joining.mode = HelloMode::kJoin;
  client.attach_lane(joining, now);
  client.lose_lane(1);
  client.lose_lane(2);
  const auto waiting = client.streams().open(test::to_name("example.org", 80), now);
  ASSERT_TRUE(waiting);
  const Record hello = take(client, 3);
  EXPECT_FALSE(hello.has<OpenFrame>()) << "the exit may not take the lane";
  exit.attach_lane(joining, now);
  ASSERT_TRUE(give(exit, 3, hello));
  pump(3);
  expect_arrives_by(3, id, 0);
  EXPECT_NE(test::find_event<OpenEvent>(exit.take_events()), nullptr);
}

TEST_F(Lanes, ResumeOverridesWhatIsThere) {
  const StreamId id = open();
  client.lose_lane(2);
  take(client, 1);
  attach(3, HelloMode::kResume);
  EXPECT_EQ(client.lanes(), 1U);
  EXPECT_EQ(exit.lanes(), 1U);
  expect_arrives_by(3, id, 0);
  EXPECT_TRUE(say(exit, 2, {PingFrame{}})) << "nothing of the dead lane is looked at";
  const Record answer = take(exit, 3);
  EXPECT_FALSE(answer.has<PingFrame>() || answer.has<PongFrame>());
}

// Across lanes a DONE may come after the OPEN that its place was free for.
TEST_F(Lanes, APlaceThatTheClientHasFreedIsFree) {
  Options small = test::options_of(Role::kExit);
  small.max_streams = 1;
  exit = Session(small);
  client = Session(test::options_of(Role::kClient));
  attach(1, HelloMode::kNew);
  attach(2, HelloMode::kJoin);
  const StreamId first = open();  // 2
  exit.streams().reset(first, ResetCode::kConnectionReset);
  ASSERT_TRUE(give(client, 2, take(exit, 2)));
  const Record late = take(client, 2);
  EXPECT_TRUE(late.has<DoneFrame>());
  EXPECT_EQ(client.streams().size(), 0U);
  EXPECT_EQ(exit.streams().size(), 1U);
  ASSERT_TRUE(client.streams().open(test::to_name("example.org", 443), now));
  exit.take_events();
  pump(1);
  EXPECT_TRUE(give(exit, 2, late));
  pump(2);
  EXPECT_NE(test::find_event<OpenEvent>(exit.take_events()), nullptr);
}

TEST_F(Lanes, EachLaneIsProbedForItsOwnStreams) {
  open();  // 2
  for (int i = 0; i < 61; ++i) {
    now += std::chrono::seconds(1);
    for (const LaneNumber lane : {1, 2}) EXPECT_TRUE(client.tick(lane, now, 0));
  }
  EXPECT_FALSE(take(client, 1).has<PingFrame>()) << "nothing is on it";
  EXPECT_TRUE(take(client, 2).has<PingFrame>());
  client.probe(now);
  EXPECT_TRUE(take(client, 1).has<PingFrame>());
}

// Or streams of a lane that dies later would wait for an exchange that never ends.
TEST_F(Lanes, AnOpenExchangeIsOwedAnAnswerWithoutAnyStream) {
  open();  // 2
  attach(3, HelloMode::kJoin);
  client.lose_lane(3);
  ASSERT_TRUE(take(client, 1).has<LaneDownFrame>());
  now += std::chrono::seconds(11);
  EXPECT_TRUE(client.tick(1, now, 0));
  EXPECT_TRUE(take(client, 1).has<PingFrame>());
  now += std::chrono::seconds(6);
  EXPECT_FALSE(client.tick(1, now, 0));
}

TEST_F(Lanes, GoawayIsSaidAgainWhenItsLaneDies) {
  exit.go_away(GoawayCode::kShutdown, "bye");
  EXPECT_TRUE(take(exit, 1).has<GoawayFrame>());
  EXPECT_FALSE(take(exit, 2).has<GoawayFrame>());
  exit.lose_lane(1);
  EXPECT_TRUE(take(exit, 2).has<GoawayFrame>());
}

TEST_F(Lanes, LiesAboutLanesBreakTheProtocol) {
  const StreamId on_two = open();
  EXPECT_TRUE(breaks_protocol(exit, 1, {LaneDownFrame{{1}}})) << "the lane that it comes on";
  EXPECT_TRUE(breaks_protocol(client, 1, {LaneDownFrame{{3}}})) << "a lane that never was";
  EXPECT_TRUE(breaks_protocol(exit, 1, {TableFrame{}})) << "a table that was not asked for";
  client.lose_lane(1);
  EXPECT_TRUE(breaks_protocol(client, 2, {TableFrame{false, {{on_two, State::kOpen, 0, 100}}}}))
      << "a stream of a live lane";
}

TEST_F(Lanes, ADeclarationWithinAnExchangeBreaksTheProtocol) {
  attach(3, HelloMode::kJoin);
  ASSERT_TRUE(say(exit, 1, {LaneDownFrame{{2}}}));
  EXPECT_TRUE(breaks_protocol(exit, 1, {LaneDownFrame{{3}}}));
}

TEST_F(Lanes, AWelcomeThatDoesNotJoinBreaksTheProtocol) {
  LaneOptions joining;
  joining.number = 3;
  joining.mode = HelloMode::kJoin;
  for (const HelloMode answer : {HelloMode::kNew, HelloMode::kResume}) {
    WelcomeFrame welcome;
    welcome.session.fill(7);
    welcome.lane = ++joining.number;
    welcome.mode = answer;
    client.attach_lane(joining, now);
    EXPECT_TRUE(breaks_protocol(client, joining.number, {welcome}));
  }
}

}  // namespace
}  // namespace zks::session
