// SPDX-License-Identifier: MIT
//
// Listeners of datagrams: each has a flow of its own, which begins and ends with it and uses any lane.
#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::count_of;
using test::find_event;
using test::Peer;
using test::SessionPair;
using test::to_ipv4;
using test::to_name;

const Destination kBind = to_ipv4({127, 0, 0, 1}, 5353);
const Destination kSomebody = to_ipv4({192, 0, 2, 77}, 50'000);
const Bytes kBytes{1, 2, 3};

Options exit_options(std::uint64_t max_flows = 1'024) {
  Options options = test::options_of(Role::kExit);
  options.max_listeners = 2;
  options.max_flows = max_flows;
  return options;
}

SessionPair make_pair(std::uint64_t max_flows = 1'024) {
  return SessionPair(test::options_of(Role::kClient), exit_options(max_flows));
}

ListenerId listen(SessionPair& pair) {
  const ListenerId id = pair.client.listen(ListenKind::kUdp, kBind).value();
  pair.pump();
  pair.exit.listening(id, kBind);
  pair.pump();
  pair.take_events();
  return id;
}

void expect_carries(SessionPair& pair, ListenerId id) {
  pair.take_events();
  ASSERT_TRUE(pair.exit.flows().send(flow_of(id), kSomebody, kBytes, pair.now));
  pair.pump();
  const auto* came = find_event<DatagramEvent>(pair.client_events);
  ASSERT_NE(came, nullptr);
  EXPECT_EQ(came->flow, flow_of(id));
  EXPECT_EQ(came->address, kSomebody);
  EXPECT_EQ(came->bytes, kBytes);
  ASSERT_TRUE(pair.client.flows().send(flow_of(id), kSomebody, kBytes, pair.now));
  pair.pump();
  const auto* answer = find_event<DatagramEvent>(pair.exit_events);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->flow, flow_of(id));
  EXPECT_EQ(answer->address, kSomebody);
  pair.take_events();
}

void change_lane(SessionPair& pair, LaneNumber number, HelloMode client_mode, HelloMode exit_mode) {
  LaneOptions lane;
  lane.number = number;
  lane.mode = client_mode;
  pair.client.attach_lane(lane, pair.now);
  lane.mode = exit_mode;
  pair.exit.attach_lane(lane, pair.now);
  pair.pump();
}

TEST(SessionListenUdp, CarriesDatagramsBothWays) {
  SessionPair pair = make_pair();
  expect_carries(pair, listen(pair));
}

TEST(SessionListenUdp, CarriesNothingBeforeTheExitListens) {
  SessionPair pair = make_pair();
  const ListenerId id = pair.client.listen(ListenKind::kUdp, kBind).value();
  pair.pump();
  EXPECT_FALSE(pair.client.flows().send(flow_of(id), kSomebody, kBytes, pair.now));
  EXPECT_FALSE(pair.exit.flows().send(flow_of(id), kSomebody, kBytes, pair.now));
  EXPECT_EQ(pair.client.flows().size() + pair.exit.flows().size(), 0U);
}

TEST(SessionListenUdp, ADatagramThatOvertakesItsListeningIsLost) {
  Peer exit(Role::kExit, test::options_of(Role::kClient));
  WelcomeFrame welcome = exit.welcome();
  welcome.parameters.max_listeners = 1;
  ASSERT_TRUE(exit.send({welcome}));
  exit.session.take_events();
  const ListenerId id = exit.session.listen(ListenKind::kUdp, kBind).value();
  ASSERT_TRUE(exit.send({DatagramFrame{flow_of(id), kSomebody, kBytes}}));
  EXPECT_TRUE(exit.session.take_events().empty());
  ASSERT_TRUE(exit.send({ListeningFrame{id, kBind}, DatagramFrame{flow_of(id), kSomebody, kBytes}}));
  const auto events = exit.session.take_events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<ListeningEvent>(events[0]));
  EXPECT_TRUE(std::holds_alternative<DatagramEvent>(events[1]));
}

TEST(SessionListenUdp, EndsWithItsListenerWhoeverEndsThat) {
  for (const bool by_client : {true, false}) {
    SessionPair pair = make_pair();
    const ListenerId id = listen(pair);
    (by_client ? pair.client : pair.exit).unlisten(id, ResetCode::kCancelled);
    pair.pump();
    EXPECT_EQ(count_of<FlowClosedEvent>(pair.client_events), 1U);
    EXPECT_EQ(count_of<FlowClosedEvent>(pair.exit_events), 1U);
    EXPECT_EQ(pair.client.flows().size() + pair.exit.flows().size(), 0U);
    EXPECT_FALSE(pair.exit.flows().send(flow_of(id), kSomebody, kBytes, pair.now));
  }
}

TEST(SessionListenUdp, WhatItHadQueuedGoesWithIt) {
  SessionPair pair = make_pair();
  const ListenerId id = listen(pair);
  while (pair.exit.flows().send(flow_of(id), kSomebody, Bytes(60'000), pair.now)) {
  }
  pair.exit.unlisten(id, ResetCode::kCancelled);
  const ListenerId next = listen(pair);
  std::size_t queued = 0;
  while (pair.exit.flows().send(flow_of(next), kSomebody, Bytes(60'000), pair.now)) ++queued;
  EXPECT_GE(queued * 60'000, kMaxQueuedDatagramBytes / 3) << "all of the room is there again";
  pair.pump();
}

TEST(SessionListenUdp, OutlivesItsLane) {
  SessionPair pair = make_pair();
  const ListenerId id = listen(pair);
  pair.client.lose_lane(1);
  pair.exit.lose_lane(1);
  change_lane(pair, 2, HelloMode::kResume, HelloMode::kResume);
  EXPECT_EQ(count_of<FlowClosedEvent>(pair.client_events), 0U);
  expect_carries(pair, id);
}

TEST(SessionListenUdp, UsesTheLaneThatIsLeft) {
  SessionPair pair = make_pair();
  const ListenerId id = listen(pair);
  change_lane(pair, 2, HelloMode::kJoin, HelloMode::kJoin);
  pair.client.lose_lane(1);
  pair.exit.lose_lane(1);
  pair.pump();
  expect_carries(pair, id);
}

TEST(SessionListenUdp, EndsWithASessionThatTheExitForgot) {
  SessionPair pair = make_pair();
  const ListenerId id = listen(pair);
  pair.exit = Session(exit_options());
  change_lane(pair, 2, HelloMode::kResume, HelloMode::kNew);
  EXPECT_EQ(count_of<FlowClosedEvent>(pair.client_events), 1U);
  EXPECT_FALSE(pair.client.flows().send(flow_of(id), kSomebody, kBytes, pair.now));
  expect_carries(pair, listen(pair));
}

TEST(SessionListenUdp, TakesNoPlaceOfAFlow) {
  SessionPair pair = make_pair(/*max_flows=*/1);
  const ListenerId id = listen(pair);
  const auto flow = pair.client.flows().open();
  ASSERT_TRUE(flow);
  EXPECT_FALSE(pair.client.flows().open());
  ASSERT_TRUE(pair.client.flows().send(*flow, kSomebody, kBytes, pair.now));
  pair.pump();
  EXPECT_EQ(count_of<DatagramEvent>(pair.exit_events), 1U) << "the exit takes it, too";
  expect_carries(pair, id);
}

TEST(SessionListenUdp, IsNotClosedAlone) {
  SessionPair pair = make_pair();
  const ListenerId id = listen(pair);
  pair.client.flows().close(flow_of(id));
  pair.exit.flows().close(flow_of(id));
  expect_carries(pair, id);
}

TEST(SessionListenUdp, OpensNoStreams) {
  SessionPair pair = make_pair();
  const ListenerId id = listen(pair);
  const auto opened = pair.exit.open(id, kSomebody, pair.now);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kClosed);
}

TEST(SessionListenUdp, WhatHasNoPlaceBreaksTheProtocol) {
  const auto client = [] {
    Peer peer(Role::kClient, exit_options());
    peer.greet();
    EXPECT_TRUE(peer.send({ListenFrame{0, ListenKind::kUdp, kBind}}));
    peer.session.listening(0, kBind);
    peer.session.take_events();
    return peer;
  };
  EXPECT_TRUE(client().breaks_protocol({FlowOpenFrame{1}}));
  EXPECT_TRUE(client().breaks_protocol({FlowCloseFrame{1}}));
  EXPECT_TRUE(client().breaks_protocol({DatagramFrame{1, to_name("localhost", 53), kBytes}}));
  EXPECT_TRUE(client().breaks_protocol({ListenFrame{kMaxDatagramListener + 1, ListenKind::kUdp, kBind}}));
  EXPECT_TRUE(client().send({ListenFrame{kMaxDatagramListener + 1, ListenKind::kTcp, kBind}}));
  Peer third = client();
  EXPECT_TRUE(third.send({DatagramFrame{1, kSomebody, kBytes}}));
  EXPECT_EQ(count_of<DatagramEvent>(third.session.take_events()), 1U);
  EXPECT_TRUE(Peer(Role::kExit).breaks_protocol({FlowCloseFrame{1}}));
}

}  // namespace
}  // namespace zks::session
