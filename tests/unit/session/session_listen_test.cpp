// SPDX-License-Identifier: MIT
//
// Listeners at the exit, and the streams that it opens on them.
#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::count_of;
using test::find_event;
using test::Peer;
using test::read;
using test::SessionPair;
using test::to_ipv4;
using test::write;

const Destination kBind = to_ipv4({127, 0, 0, 1}, 8080);
const Destination kSomebody = to_ipv4({192, 0, 2, 77}, 50'000);

Options exit_options(std::uint64_t max_listeners = 2) {
  Options options = test::options_of(Role::kExit);
  options.max_listeners = max_listeners;
  return options;
}

SessionPair make_pair_with(std::uint64_t max_listeners) {
  return SessionPair(test::options_of(Role::kClient), exit_options(max_listeners));
}

ListenerId listen(SessionPair& pair) {
  const ListenerId id = pair.client.listen(ListenKind::kTcp, kBind).value();
  pair.pump();
  pair.exit.listening(id, kBind);
  pair.pump();
  pair.take_events();
  return id;
}

// The next lane, which both ends take as the one that resumes, or as new.
void change_lane(SessionPair& pair, LaneNumber number, HelloMode mode) {
  LaneOptions lane;
  lane.number = number;
  lane.mode = mode;
  pair.client.attach_lane(lane, pair.now);
  pair.exit.attach_lane(lane, pair.now);
}

// An exit that says what it wants, to a client's session that asked for one listener.
struct HostileExit {
  explicit HostileExit(std::uint64_t max_listeners = 2) : exit(Role::kExit, test::options_of(Role::kClient)) {
    WelcomeFrame welcome = exit.welcome();
    welcome.parameters.max_listeners = max_listeners;
    EXPECT_TRUE(exit.send({welcome}));
    exit.answer_pings();
    exit.session.take_events();
    const auto asked = exit.session.listen(ListenKind::kTcp, kBind);
    if (asked) listener = *asked;
    exit.take_all();
  }
  Peer exit;
  ListenerId listener = 0;
};

TEST(SessionListen, IsAnsweredWithWhatItIsBoundTo) {
  SessionPair pair = make_pair_with(2);
  const ListenerId id = pair.client.listen(ListenKind::kTcp, kBind).value();
  pair.pump();
  const auto* asked = find_event<ListenEvent>(pair.exit_events);
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->listener, id);
  EXPECT_EQ(asked->address, kBind);
  EXPECT_EQ(asked->kind, ListenKind::kTcp);
  pair.exit.listening(id, to_ipv4({127, 0, 0, 1}, 8081));
  pair.pump();
  const auto* there = find_event<ListeningEvent>(pair.client_events);
  ASSERT_NE(there, nullptr);
  EXPECT_EQ(there->listener, id);
  EXPECT_EQ(there->address, to_ipv4({127, 0, 0, 1}, 8081));
}

TEST(SessionListen, ARefusalHasAReasonAndLeavesNothing) {
  SessionPair pair = make_pair_with(2);
  const ListenerId id = pair.client.listen(ListenKind::kTcp, kBind).value();
  pair.pump();
  pair.exit.unlisten(id, ResetCode::kAddressInUse);
  pair.pump();
  const auto* refused = find_event<UnlistenEvent>(pair.client_events);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->listener, id);
  EXPECT_EQ(refused->code, ResetCode::kAddressInUse);
  EXPECT_EQ(pair.client.listeners().size(), 0U);
  EXPECT_EQ(pair.exit.listeners().size(), 0U);
}

TEST(SessionListen, AnExitWithoutListenersIsNotAsked) {
  SessionPair pair;
  const auto asked = pair.client.listen(ListenKind::kTcp, kBind);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().kind, ErrorKind::kLimit);
  EXPECT_EQ(pair.client.listeners().max(), 0U);
}

TEST(SessionListen, NoMoreThanTheExitSaid) {
  SessionPair pair = make_pair_with(2);
  ASSERT_TRUE(pair.client.listen(ListenKind::kTcp, kBind));
  const ListenerId second = pair.client.listen(ListenKind::kTcp, kBind).value();
  EXPECT_FALSE(pair.client.listen(ListenKind::kTcp, kBind));
  pair.client.unlisten(second, ResetCode::kCancelled);
  EXPECT_TRUE(pair.client.listen(ListenKind::kTcp, kBind));
}

TEST(SessionListen, BothSidesOpenStreamsThatCarryBytesBothWays) {
  SessionPair pair = make_pair_with(2);
  const ListenerId listener = listen(pair);
  const StreamId theirs = pair.connect();
  const StreamId id = pair.exit.open(listener, kSomebody, pair.now).value();
  EXPECT_EQ(id % 2, 1U);
  pair.pump();
  const auto* open = find_event<OpenEvent>(pair.client_events);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(open->stream, id);
  EXPECT_EQ(open->listener, listener);
  EXPECT_EQ(open->address, kSomebody);
  pair.client.streams().accept(id, kBind);
  pair.pump();
  ASSERT_NE(find_event<OpenedEvent>(pair.exit_events), nullptr);
  EXPECT_EQ(write(pair.exit, id, 5'000, 0), 5'000U);
  EXPECT_EQ(write(pair.client, id, 7'000, 0), 7'000U);
  EXPECT_EQ(write(pair.client, theirs, 100, 0), 100U);
  pair.pump();
  EXPECT_EQ(read(pair.client, id, 9'000, 0, pair.now), 5'000U);
  EXPECT_EQ(read(pair.exit, id, 9'000, 0, pair.now), 7'000U);
  EXPECT_EQ(read(pair.exit, theirs, 9'000, 0, pair.now), 100U);
  pair.finish(id);
  pair.finish(theirs);
  EXPECT_EQ(pair.client.streams().size(), 0U);
  EXPECT_EQ(pair.exit.streams().size(), 0U);
}

TEST(SessionListen, GivingUpIsToldAndNothingIsOpenedAfterIt) {
  SessionPair pair = make_pair_with(2);
  const ListenerId listener = listen(pair);
  const auto crossing = pair.exit.open(listener, kSomebody, pair.now);
  ASSERT_TRUE(crossing);
  pair.client.unlisten(listener, ResetCode::kCancelled);
  pair.pump();
  EXPECT_EQ(count_of<OpenEvent>(pair.client_events), 0U) << "it came after the end";
  const auto* reset = find_event<ResetEvent>(pair.exit_events);
  ASSERT_NE(reset, nullptr);
  EXPECT_EQ(reset->code, ResetCode::kConnectionRefused);
  EXPECT_EQ(count_of<UnlistenEvent>(pair.exit_events), 1U);
  EXPECT_FALSE(pair.exit.open(listener, kSomebody, pair.now));
  EXPECT_EQ(pair.client.listeners().size() + pair.exit.listeners().size(), 0U);
}

TEST(SessionListen, IsSaidAgainOnTheNextLane) {
  SessionPair pair = make_pair_with(2);
  const ListenerId lost = pair.client.listen(ListenKind::kTcp, kBind).value();
  test::next_record(pair.client, pair.now);  // on its way when the lane dies
  change_lane(pair, 2, HelloMode::kResume);
  pair.pump();
  ASSERT_EQ(count_of<ListenEvent>(pair.exit_events), 1U);
  pair.exit.listening(lost, kBind);
  test::next_record(pair.exit, pair.now);  // and the answer on the next one
  change_lane(pair, 3, HelloMode::kResume);
  pair.pump();
  EXPECT_EQ(count_of<ListenEvent>(pair.exit_events), 1U) << "the exit has it already";
  EXPECT_EQ(count_of<ListeningEvent>(pair.client_events), 1U);
}

TEST(SessionListen, AnEndThatWasLostIsSaidAgain) {
  SessionPair pair = make_pair_with(2);
  const ListenerId listener = listen(pair);
  pair.client.unlisten(listener, ResetCode::kCancelled);
  test::next_record(pair.client, pair.now);
  change_lane(pair, 2, HelloMode::kResume);
  pair.pump();
  EXPECT_EQ(count_of<UnlistenEvent>(pair.exit_events), 1U);
  EXPECT_EQ(pair.client.listeners().size() + pair.exit.listeners().size(), 0U);
}

TEST(SessionListen, AnOpenThatWasLostIsSaidAgain) {
  SessionPair pair = make_pair_with(2);
  const ListenerId listener = listen(pair);
  const StreamId id = pair.exit.open(listener, kSomebody, pair.now).value();
  test::next_record(pair.exit, pair.now);
  pair.client.lose_lane(1);
  pair.exit.lose_lane(1);
  const StreamId meanwhile = pair.exit.open(listener, kSomebody, pair.now).value();
  change_lane(pair, 2, HelloMode::kResume);
  pair.pump();
  ASSERT_EQ(count_of<OpenEvent>(pair.client_events), 2U);
  for (const StreamId stream : {id, meanwhile}) pair.client.streams().accept(stream, kBind);
  pair.pump();
  EXPECT_EQ(count_of<OpenedEvent>(pair.exit_events), 2U);
}

TEST(SessionListen, EndsWithASessionThatTheExitForgot) {
  SessionPair pair = make_pair_with(2);
  listen(pair);
  pair.exit = Session(exit_options());
  LaneOptions lane;
  lane.number = 2;
  lane.mode = HelloMode::kResume;
  pair.client.attach_lane(lane, pair.now);
  lane.mode = HelloMode::kNew;
  pair.exit.attach_lane(lane, pair.now);
  pair.pump();
  EXPECT_EQ(pair.client.listeners().size(), 0U);
  EXPECT_TRUE(pair.client.listen(ListenKind::kTcp, kBind)) << "and may be asked for again";
}

TEST(SessionListen, AnIdleListenerIsReasonToAskForASignOfLife) {
  SessionPair pair = make_pair_with(2);
  listen(pair);
  ASSERT_NE(pair.client.next_deadline(), TimePoint::max());
  pair.run_for(2s);
  pair.now += 61s;
  ASSERT_TRUE(pair.client.tick(1, pair.now, 0));
  EXPECT_TRUE(test::next_record(pair.client, pair.now).has<PingFrame>());
}

TEST(SessionListen, AnExitOpensOnlyForWhatWasAskedFor) {
  HostileExit never;
  EXPECT_TRUE(never.exit.breaks_protocol({OpenFrame{1, kSomebody, 0, never.listener + 1}}));
  HostileExit name;
  EXPECT_TRUE(name.exit.breaks_protocol({OpenFrame{1, test::to_name("localhost", 22), 0, name.listener}}));
  HostileExit even;
  EXPECT_TRUE(even.exit.breaks_protocol({OpenFrame{2, kSomebody, 0}}));
  HostileExit asked;
  EXPECT_TRUE(asked.exit.send({OpenFrame{1, kSomebody, 0, asked.listener}}));
}

TEST(SessionListen, AnExitOpensNoStreamsForDatagrams) {
  HostileExit hostile;
  const ListenerId id = hostile.exit.session.listen(ListenKind::kUdp, kBind).value();
  EXPECT_TRUE(hostile.exit.breaks_protocol({OpenFrame{1, kSomebody, 0, id}}));
}

TEST(SessionListen, AnExitCantFillTheTable) {
  HostileExit hostile;
  hostile.exit.session.unlisten(hostile.listener, ResetCode::kCancelled);
  StreamId id = 1;
  for (std::size_t i = 0; i < 3 * 2048; ++i, id += 2) {
    ASSERT_TRUE(hostile.exit.send({OpenFrame{id, kSomebody, 0, hostile.listener}})) << i;
  }
  EXPECT_TRUE(hostile.exit.breaks_protocol({OpenFrame{id, kSomebody, 0, hostile.listener}}));
}

TEST(SessionListen, WhatNobodyAskedForBreaksTheProtocol) {
  HostileExit listening;
  EXPECT_TRUE(listening.exit.breaks_protocol({ListeningFrame{listening.listener + 1, kBind}}));
  HostileExit unlisten;
  EXPECT_TRUE(unlisten.exit.breaks_protocol({UnlistenFrame{unlisten.listener + 1, ResetCode::kCancelled}}));
  HostileExit listen_of_exit;
  EXPECT_TRUE(listen_of_exit.exit.breaks_protocol({ListenFrame{0, ListenKind::kTcp, kBind}}));
  Peer client(Role::kClient);
  EXPECT_TRUE(client.breaks_protocol({ListenFrame{0, ListenKind::kTcp, kBind}})) << "max-listeners was 0";
  Peer second(Role::kClient);
  EXPECT_TRUE(second.breaks_protocol({UnlistenFrame{0, ResetCode::kCancelled}}));
  Peer third(Role::kClient, exit_options());
  third.greet();
  EXPECT_TRUE(third.breaks_protocol({ListeningFrame{0, kBind}}));
}

TEST(SessionListen, AClientThatOnlyAsksIsBounded) {
  Peer client(Role::kClient, exit_options());
  client.greet();
  ListenerId id = 0;
  while (id < 2 + kMaxListenersEnding) {
    ASSERT_TRUE(client.send({ListenFrame{id++, ListenKind::kTcp, kBind}}));
  }
  EXPECT_EQ(count_of<ListenEvent>(client.session.take_events()), 2U) << "the others are refused";
  EXPECT_TRUE(client.breaks_protocol({ListenFrame{id, ListenKind::kTcp, kBind}}));
}

TEST(SessionListen, RefusesWhatIsTooManyWithTheLimitAsReason) {
  Peer client(Role::kClient, exit_options(1));
  client.greet();
  ASSERT_TRUE(
      client.send({ListenFrame{0, ListenKind::kTcp, kBind}, ListenFrame{1, ListenKind::kTcp, kBind}}));
  std::vector<UnlistenFrame> refused;
  for (const auto& record : client.take_all()) {
    for (const auto& frame : record.all<UnlistenFrame>()) refused.push_back(frame);
  }
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].listener, 1U);
  EXPECT_EQ(refused[0].code, ResetCode::kLimit);
}

}  // namespace
}  // namespace zks::session
