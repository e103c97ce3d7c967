// SPDX-License-Identifier: MIT
//
// Flows: datagrams arrive or are lost, never late; what may wait is bounded; a flow outlives its lane and the
// exit's memory of the session.
#include <gtest/gtest.h>

#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::Peer;
using test::SessionPair;
using test::to_ipv4;
using test::to_name;

const Destination kDns = to_ipv4({192, 0, 2, 53}, 53);

Bytes payload(std::size_t size, std::uint8_t fill = 'x') {
  return Bytes(size, fill);
}

std::vector<Bytes> datagrams(const std::vector<Event>& events) {
  std::vector<Bytes> out;
  for (const Event& event : events) {
    if (const auto* datagram = std::get_if<DatagramEvent>(&event)) out.push_back(datagram->bytes);
  }
  return out;
}

TEST(Flows, CarryDatagramsBothWays) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  ASSERT_TRUE(pair.client.flows().send(flow, to_name("ns.example", 53), payload(3), pair.now));
  pair.pump();
  ASSERT_EQ(pair.exit_events.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<FlowOpenEvent>(pair.exit_events[0]));
  const auto* asked = std::get_if<DatagramEvent>(&pair.exit_events[1]);
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->address, to_name("ns.example", 53));
  EXPECT_EQ(asked->bytes, payload(3));
  ASSERT_TRUE(pair.exit.flows().send(flow, kDns, {}, pair.now));
  ASSERT_TRUE(pair.exit.flows().send_error(flow, kDns, {3, 3}, pair.now));
  pair.pump();
  ASSERT_EQ(pair.client_events.size(), 2U);
  const auto* answer = std::get_if<DatagramEvent>(&pair.client_events[0]);
  ASSERT_NE(answer, nullptr);
  EXPECT_TRUE(answer->bytes.empty());
  const auto* error = std::get_if<FlowErrorEvent>(&pair.client_events[1]);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->error, (IcmpError{3, 3}));
}

TEST(Flows, SeveralDatagramsShareARecord) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(pair.client.flows().send(flow, kDns, payload(1'000), pair.now));
  EXPECT_EQ(pair.pass(pair.client).all<DatagramFrame>().size(), 20U);
}

TEST(Flows, TheLargestDatagramGetsALargerRecord) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  const std::string longest(kMaxNameBytes, 'n');
  EXPECT_FALSE(pair.client.flows().send(flow, kDns, payload(kMaxDatagram + 1), pair.now));
  ASSERT_TRUE(pair.client.flows().send(flow, to_name(longest, 53), payload(kMaxDatagram), pair.now));
  ASSERT_TRUE(pair.client.flows().send(flow, kDns, payload(100), pair.now));
  const test::Record first = test::next_record(pair.client, pair.now, kMostFrames);
  EXPECT_GT(first.bytes.size(), kMaxDatagram);
  EXPECT_EQ(first.all<DatagramFrame>().size(), 1U) << "the small one waits for a record of the usual size";
  pair.deliver(pair.client, first);
  pair.pump();
  EXPECT_EQ(datagrams(pair.exit_events), (std::vector<Bytes>{payload(kMaxDatagram), payload(100)}));
}

TEST(Flows, ADatagramWaits100MillisecondsForALaneAndNotLonger) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  pair.pump();
  pair.take_events();
  ASSERT_TRUE(pair.client.flows().send(flow, kDns, payload(1, 'a'), pair.now));
  pair.now += 60ms;
  ASSERT_TRUE(pair.client.flows().send(flow, kDns, payload(1, 'b'), pair.now));
  pair.now += 41ms;
  pair.pump();
  EXPECT_EQ(datagrams(pair.exit_events), std::vector<Bytes>{payload(1, 'b')});
  EXPECT_EQ(pair.client.flows().counters().dropped_late, 1U);
}

TEST(Flows, ALaneThatIsFullMakesDatagramsLate) {
  LaneOptions small;
  small.relay_window_bytes = 64 * 1024;  // 48 KiB may be under way
  SessionPair pair({test::options_of(Role::kClient)}, {test::options_of(Role::kExit)}, small);
  const FlowId flow = pair.client.flows().open().value();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pair.client.flows().send(flow, kDns, payload(1'000), pair.now));
  std::size_t sent = 0;
  while (true) {
    const test::Record record = test::next_record(pair.client, pair.now);  // none is acknowledged
    if (record.empty()) break;
    sent += record.all<DatagramFrame>().size();
  }
  EXPECT_GT(sent, 40U);
  EXPECT_LT(sent, 49U);
  pair.now += 101ms;
  EXPECT_TRUE(pair.client.flows().send(flow, kDns, payload(1'000), pair.now));
  EXPECT_EQ(pair.client.flows().counters().dropped_late, 100 - sent);
}

TEST(Flows, WhatMayWaitIsBoundedAndOneFlowLeavesRoomForOthers) {
  SessionPair pair;
  const FlowId flood = pair.client.flows().open().value();
  std::size_t bytes = 0;
  while (pair.client.flows().send(flood, kDns, payload(1'000), pair.now)) bytes += 1'000;
  EXPECT_LE(bytes, kMaxQueuedDatagramBytes / 2);
  EXPECT_GT(bytes, kMaxQueuedDatagramBytes / 4);
  EXPECT_EQ(pair.client.flows().counters().dropped_full, 1U);
  const FlowId modest = pair.client.flows().open().value();
  EXPECT_TRUE(pair.client.flows().send(modest, kDns, payload(60'000), pair.now));
  // And it does not wait behind the flood.
  const auto first = pair.pass(pair.client).all<DatagramFrame>();
  const auto second = pair.pass(pair.client).all<DatagramFrame>();
  const auto is_modest = [modest](const DatagramFrame& f) { return f.flow == modest; };
  EXPECT_TRUE(std::any_of(first.begin(), first.end(), is_modest) ||
              std::any_of(second.begin(), second.end(), is_modest));
}

TEST(Flows, AreBoundedByBothEnds) {
  Options exit = test::options_of(Role::kExit);
  exit.max_flows = 3;
  SessionPair pair(test::options_of(Role::kClient), exit);
  EXPECT_EQ(pair.client.flows().peer_max(), 3U);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pair.client.flows().open());
  const auto one_more = pair.client.flows().open();
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().kind, ErrorKind::kLimit);
  pair.client.flows().close(2);
  EXPECT_EQ(pair.client.flows().open().value(), 6U) << "ids are not used twice";
}

TEST(Flows, AnExitWithoutUdpSaysSo) {
  Options exit = test::options_of(Role::kExit);
  exit.max_flows = 0;
  SessionPair pair(test::options_of(Role::kClient), exit);
  const auto refused = pair.client.flows().open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kRefused);
}

TEST(Flows, TheExitRefusesMoreThanItKeepsAndAnswersABoundedNumber) {
  Peer peer(Role::kClient);  // plays a client to an exit of 1,024 flows
  std::vector<Frame> opens;
  for (FlowId id = 0; id < 20'000; id += 2) opens.push_back(FlowOpenFrame{id});
  ASSERT_TRUE(peer.send(opens));
  EXPECT_EQ(peer.session.flows().size(), 1'024U);
  std::size_t refused = 0;
  for (const auto& record : peer.take_all()) refused += record.all<FlowCloseFrame>().size();
  EXPECT_EQ(refused, 2'048U);
}

TEST(Flows, DatagramsOfUnknownFlowsAreDropped) {
  Peer client(Role::kClient);
  EXPECT_TRUE(client.send({DatagramFrame{78, kDns, {}}}));
  EXPECT_TRUE(client.send({FlowCloseFrame{78}}));
  EXPECT_TRUE(client.session.take_events().empty());
  EXPECT_EQ(client.session.flows().counters().dropped_unknown, 1U);
  Peer exit(Role::kExit);
  EXPECT_TRUE(exit.send({DatagramFrame{78, kDns, {}}, FlowErrorFrame{78, kDns, {3, 3}}, FlowCloseFrame{78}}));
  EXPECT_TRUE(exit.session.take_events().empty());
}

TEST(Flows, WhatTheWrongSideSaysEndsTheSession) {
  EXPECT_TRUE(Peer(Role::kExit).breaks_protocol({FlowOpenFrame{0}}));
  EXPECT_TRUE(Peer(Role::kExit).breaks_protocol({DatagramFrame{0, to_name("a.example", 1), {}}}));
  EXPECT_TRUE(Peer(Role::kClient).breaks_protocol({FlowErrorFrame{0, kDns, {3, 3}}}));
}

TEST(Flows, CloseIsTold) {
  SessionPair pair;
  const FlowId first = pair.client.flows().open().value();
  const FlowId second = pair.client.flows().open().value();
  pair.pump();
  pair.take_events();
  pair.client.flows().close(first);
  pair.exit.flows().close(second);
  pair.pump();
  EXPECT_EQ(test::count_of<FlowClosedEvent>(pair.exit_events), 1U);
  EXPECT_EQ(test::count_of<FlowClosedEvent>(pair.client_events), 1U);
  EXPECT_EQ(pair.client.flows().size(), 0U);
  EXPECT_EQ(pair.exit.flows().size(), 0U);
  EXPECT_FALSE(pair.client.flows().send(first, kDns, payload(1), pair.now));
}

TEST(Flows, GoOnAfterAResume) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  pair.pump();
  pair.take_events();
  LaneOptions next;
  next.number = 2;
  next.mode = HelloMode::kResume;
  pair.client.lose_lane(1);
  pair.exit.lose_lane(1);
  EXPECT_TRUE(pair.client.flows().send(flow, kDns, payload(1, 'c'), pair.now));
  EXPECT_TRUE(pair.exit.flows().send(flow, kDns, payload(1, 'e'), pair.now));
  pair.client.attach_lane(next, pair.now);
  pair.exit.attach_lane(next, pair.now);
  pair.pump();
  EXPECT_EQ(test::count_of<FlowOpenEvent>(pair.exit_events), 0U) << "it has this one";
  EXPECT_EQ(datagrams(pair.exit_events), std::vector<Bytes>{payload(1, 'c')});
  EXPECT_EQ(datagrams(pair.client_events), std::vector<Bytes>{payload(1, 'e')});
}

TEST(Flows, AreOpenedAnewAtAnExitThatForgotThem) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  pair.pump();
  pair.client.lose_lane(1);
  pair.exit = Session(test::options_of(Role::kExit));
  pair.take_events();
  LaneOptions next;
  next.number = 2;
  next.mode = HelloMode::kNew;
  pair.exit.attach_lane(next, pair.now);
  next.mode = HelloMode::kResume;
  pair.client.attach_lane(next, pair.now);
  EXPECT_TRUE(pair.client.flows().send(flow, kDns, payload(1), pair.now));
  pair.pump();
  EXPECT_EQ(test::count_of<FlowOpenEvent>(pair.exit_events), 1U);
  EXPECT_EQ(datagrams(pair.exit_events).size(), 1U);
  EXPECT_EQ(test::count_of<FlowClosedEvent>(pair.client_events), 0U);
}

TEST(Flows, DoNotStarveStreamsAndStreamsDoNotDelayThem) {
  SessionPair pair;
  const StreamId stream = pair.connect();
  const FlowId flow = pair.client.flows().open().value();
  test::write(pair.client, stream, 256 * 1024, 0);
  while (pair.client.flows().send(flow, kDns, payload(1'200), pair.now)) {
  }
  const test::Record record = pair.pass(pair.client);
  std::size_t of_datagrams = 0;
  for (const auto& frame : record.all<DatagramFrame>()) of_datagrams += frame.bytes.size();
  std::size_t of_streams = 0;
  for (const auto& frame : record.all<DataFrame>()) of_streams += frame.bytes.size();
  EXPECT_GT(of_datagrams, 20'000U);
  EXPECT_GT(of_streams, 20'000U);
}

TEST(Flows, LargeDatagramsAndStreamsTakeTurns) {
  SessionPair pair;
  const StreamId stream = pair.connect();
  const FlowId flow = pair.client.flows().open().value();
  test::write(pair.client, stream, 256 * 1024, 0);
  for (int i = 0; i < 5; ++i) pair.client.flows().send(flow, kDns, payload(60'000), pair.now);
  std::size_t of_streams = 0;
  std::size_t large = 0;
  for (int i = 0; i < 6; ++i) {
    const test::Record record = pair.pass(pair.client);
    large += record.all<DatagramFrame>().size();
    for (const auto& frame : record.all<DataFrame>()) of_streams += frame.bytes.size();
  }
  EXPECT_GE(large, 2U);
  EXPECT_GT(of_streams, 100'000U);
}

TEST(Flows, ADatagramIsNotOwedAnAnswer) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  pair.run_for(2s);
  ASSERT_TRUE(pair.client.flows().send(flow, kDns, payload(1), pair.now));
  pair.pump();
  int pings = 0;
  for (int i = 0; i < 50; ++i) {  // 50 s in which the exit says nothing
    pair.now += 1s;
    EXPECT_TRUE(pair.client.tick(1, pair.now, 0));
    pings += test::next_record(pair.client, pair.now).has<PingFrame>() ? 1 : 0;
  }
  EXPECT_EQ(pings, 1) << "the early one";
  pair.now += 12s;
  EXPECT_TRUE(pair.client.tick(1, pair.now, 0));
  EXPECT_TRUE(test::next_record(pair.client, pair.now).has<PingFrame>()) << "after 60 s, as with streams";
}

TEST(Flows, EndWithTheSession) {
  SessionPair pair;
  const FlowId flow = pair.client.flows().open().value();
  pair.pump();
  pair.take_events();
  pair.client.end();
  pair.keep_events();
  EXPECT_EQ(test::count_of<FlowClosedEvent>(pair.client_events), 1U);
  EXPECT_FALSE(pair.client.flows().send(flow, kDns, {}, pair.now));
  EXPECT_FALSE(pair.client.flows().open());
}

// A lane that dies takes nothing along but what was on its way.
TEST(Flows, MoveToAnotherLane) {
  SessionPair pair;
  LaneOptions second;
  second.number = 2;
  second.mode = HelloMode::kJoin;
  pair.client.attach_lane(second, pair.now);
  pair.exit.attach_lane(second, pair.now);
  pair.pump();
  const FlowId flow = pair.client.flows().open().value();
  pair.pump();
  pair.client.lose_lane(2);
  pair.exit.lose_lane(2);
  pair.take_events();
  EXPECT_TRUE(pair.client.flows().send(flow, kDns, payload(1, 'c'), pair.now));
  EXPECT_TRUE(pair.exit.flows().send(flow, kDns, payload(1, 'e'), pair.now));
  for (int i = 0; i < 10; ++i) {
    for (Session* from : {&pair.client, &pair.exit}) {
      Session& to = from == &pair.client ? pair.exit : pair.client;
      Bytes record(test::kRecordRoom);
      record.resize(from->fill(1, record, pair.now));
      if (!record.empty()) {
        ASSERT_TRUE(to.receive(1, record, record.size() + test::kOverhead, pair.now));
      }
    }
  }
  pair.keep_events();
  EXPECT_EQ(datagrams(pair.exit_events), std::vector<Bytes>{payload(1, 'c')});
  EXPECT_EQ(datagrams(pair.client_events), std::vector<Bytes>{payload(1, 'e')});
}

}  // namespace
}  // namespace zks::session
