// SPDX-License-Identifier: MIT
//
// A session on a new lane: what it tells, what it waits for, and which tables it does not believe.
#include <gtest/gtest.h>

#include "session_fixture.hpp"

namespace zks::session {
namespace {

using test::Peer;
using test::Record;
using test::to_ipv4;
using test::to_name;
using State = TableEntry::State;

// Cuts the peer's lane; the session resumes on the next one, whose HELLO or WELCOME has come.
void resume(Peer& peer, Role peer_role, HelloMode answer = HelloMode::kResume) {
  LaneOptions lane;
  lane.number = 2;
  lane.mode = HelloMode::kResume;
  peer.session.lose_lane(1);
  peer.session.attach_lane(lane, peer.now);
  Greeting greeting = peer.hello();
  greeting.lane = 2;
  const bool client = peer_role == Role::kClient;
  greeting.mode = client ? HelloMode::kResume : answer;
  EXPECT_TRUE(peer.send({client ? Frame(HelloFrame{greeting}) : Frame(WelcomeFrame{greeting})}));
}

std::vector<TableEntry> table_of(const std::vector<Record>& records) {
  std::vector<TableEntry> out;
  for (const Record& record : records) {
    for (const auto& frame : record.all<TableFrame>()) {
      out.insert(out.end(), frame.entries.begin(), frame.entries.end());
    }
  }
  return out;
}

template <class F>
std::size_t count(const std::vector<Record>& records) {
  std::size_t sum = 0;
  for (const Record& record : records) sum += record.all<F>().size();
  return sum;
}

TEST(SessionResume, NothingOfAStreamGoesOutBeforeThePeersTable) {
  Peer peer(Role::kClient);
  const StreamId id = peer.open(100'000);
  test::write(peer.session, id, 1'000, 0);
  peer.take_all();
  resume(peer, Role::kClient);
  const auto before = peer.take_all();
  ASSERT_EQ(table_of(before).size(), 1U);
  EXPECT_EQ(table_of(before)[0].state, State::kOpen);
  EXPECT_EQ(count<DataFrame>(before), 0U);
  EXPECT_EQ(count<CreditFrame>(before), 0U);
  EXPECT_TRUE(peer.send({TableFrame{true, {{id, State::kOpen, 400, 100'000}}}}));
  EXPECT_EQ(count<DataFrame>(peer.take_all()), 0U) << "more of the table follows";
  EXPECT_TRUE(peer.send({TableFrame{}}));
  const auto after = peer.take_all();
  ASSERT_EQ(count<DataFrame>(after), 1U);
  for (const Record& record : after) {
    for (const auto& data : record.all<DataFrame>()) {
      EXPECT_EQ(data.offset, 400U);
      EXPECT_EQ(data.bytes.size(), 600U);
    }
  }
  EXPECT_EQ(count<CreditFrame>(after), 1U) << "the last one may be lost";
}

TEST(SessionResume, AnOpenThatWasLostIsSentAgainAndOneThatArrivedIsNot) {
  for (const bool arrived : {false, true}) {
    Peer peer(Role::kExit);
    const StreamId id = peer.session.streams().open(to_name("example.org", 443), peer.now).value();
    peer.take_all();
    resume(peer, Role::kExit);
    TableFrame table;
    if (arrived) table.entries.push_back({id, State::kOpening, 0, 1'000});
    EXPECT_TRUE(peer.send({table}));
    EXPECT_EQ(count<OpenFrame>(peer.take_all()), arrived ? 0U : 1U);
  }
}

TEST(SessionResume, OpenedResetAndDoneAreSaidAgain) {
  Peer peer(Role::kClient);
  const StreamId opened = peer.open(1'000);
  const StreamId reset = peer.open(1'000);
  peer.session.streams().reset(reset, ResetCode::kConnectionReset);
  peer.take_all();  // RESET and DONE are on the lane that is cut
  resume(peer, Role::kClient);
  EXPECT_TRUE(
      peer.send({TableFrame{false, {{opened, State::kOpening, 0, 1'000}, {reset, State::kOpen, 0, 1'000}}}}));
  const auto again = peer.take_all();
  EXPECT_EQ(count<OpenedFrame>(again), 1U);
  EXPECT_EQ(count<ResetFrame>(again), 1U);
  EXPECT_EQ(count<DoneFrame>(again), 1U);
  EXPECT_TRUE(peer.send({DoneFrame{reset}}));
  EXPECT_EQ(peer.session.streams().size(), 1U);
}

TEST(SessionResume, WhatThePeerForgotIsForgottenOrReset) {
  Peer peer(Role::kClient);
  const StreamId over = peer.open(1'000);
  const StreamId open = peer.open(1'000);
  peer.session.streams().reset(over, ResetCode::kConnectionReset);
  peer.take_all();
  resume(peer, Role::kClient);
  peer.session.take_events();
  EXPECT_TRUE(peer.send({TableFrame{}}));
  EXPECT_EQ(peer.session.streams().size(), 0U);
  const auto events = peer.session.take_events();
  ASSERT_EQ(events.size(), 1U);
  const auto* reset = std::get_if<ResetEvent>(&events[0]);
  ASSERT_NE(reset, nullptr);
  EXPECT_EQ(reset->stream, open);
  EXPECT_EQ(reset->code, ResetCode::kSessionLost);
}

TEST(SessionResume, AnExitThatDoesNotKnowTheSessionMakesItsStreamsEnd) {
  Peer peer(Role::kExit);
  const StreamId id = peer.open(1'000);
  test::write(peer.session, id, 500, 0);
  resume(peer, Role::kExit, HelloMode::kNew);
  const auto events = peer.session.take_events();
  const auto* reset = test::find_event<ResetEvent>(events);
  ASSERT_NE(reset, nullptr);
  EXPECT_EQ(reset->code, ResetCode::kSessionLost);
  EXPECT_EQ(peer.session.streams().size(), 0U);
  EXPECT_EQ(peer.session.streams().buffered_to_send(), 0U);
  const auto next = peer.session.streams().open(to_name("example.org", 443), peer.now);
  ASSERT_TRUE(next);
  EXPECT_GT(*next, id) << "ids are not used twice";
  EXPECT_EQ(count<OpenFrame>(peer.take_all()), 1U) << "the lane goes on at once";
}

TEST(SessionResume, ATableIsOnlyReadAfterAResume) {
  Peer client(Role::kClient);
  EXPECT_TRUE(client.breaks_protocol({TableFrame{}}));
  Peer twice(Role::kClient);
  resume(twice, Role::kClient);
  EXPECT_TRUE(twice.send({TableFrame{}}));
  EXPECT_TRUE(twice.breaks_protocol({TableFrame{}}));
}

// An exit's session with one open stream of which 1,000 bytes were sent and 300 consumed.
struct Resumed : Peer {
  Resumed() : Peer(Role::kClient), id(open(100'000)) {
    test::write(session, id, 1'000, 0);
    take_all();
    EXPECT_TRUE(send({CreditFrame{id, 300, 100'000}}));
    resume(*this, Role::kClient);
  }
  StreamId id;
};

TEST(SessionResume, TablesThatDoNotFitAreProtocolErrors) {
  EXPECT_TRUE(Resumed().breaks_protocol({TableFrame{false, {{0, State::kOpen, 299, 100'000}}}}));
  EXPECT_TRUE(Resumed().breaks_protocol({TableFrame{false, {{0, State::kOpen, 1'001, 100'000}}}}));
  const TableEntry entry{0, State::kOpen, 500, 100'000};
  EXPECT_TRUE(Resumed().breaks_protocol({TableFrame{false, {entry, entry}}}));
  EXPECT_TRUE(Resumed().send({TableFrame{false, {entry}}}));
  EXPECT_TRUE(Resumed().send({TableFrame{false, {entry, {8, State::kOpen, 0, 0}}}}))
      << "it is late, not false";

  Peer connecting(Role::kClient);
  EXPECT_TRUE(connecting.send({OpenFrame{0, to_ipv4({192, 0, 2, 1}, 80), 1'000}}));
  resume(connecting, Role::kClient);
  EXPECT_TRUE(connecting.breaks_protocol({TableFrame{false, {{0, State::kOpen, 0, 1'000}}}}));

  Peer exit(Role::kExit);
  const StreamId id = exit.open(1'000);
  resume(exit, Role::kExit);
  EXPECT_TRUE(exit.breaks_protocol({TableFrame{false, {{id, State::kOpening, 0, 1'000}}}}));
}

TEST(SessionResume, AWelcomeMustAnswerWhatWasAsked) {
  for (const HelloMode mode : {HelloMode::kJoin, HelloMode::kResume}) {
    Peer peer(Role::kExit, test::options_of(Role::kClient));
    WelcomeFrame welcome = peer.welcome();
    welcome.mode = mode;
    EXPECT_TRUE(peer.breaks_protocol({welcome}));
  }
}

}  // namespace
}  // namespace zks::session
