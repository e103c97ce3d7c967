// SPDX-License-Identifier: MIT
//
// Requests: asked once, answered once or not at all; what waits is bounded and not for long; on any lane.
#include <gtest/gtest.h>

#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::count_of;
using test::find_event;
using test::options_of;
using test::Peer;
using test::SessionPair;
using test::to_ipv4;
using test::to_ipv6;
using test::to_name;

const Destination kHost = to_ipv4({192, 0, 2, 7}, 0);
const Destination kHost6 = to_ipv6({0x20, 1, 0xd, 0xb8}, 0);
constexpr ExitCapabilities kAll{true, true, true, true, true};

Options able(ExitCapabilities capabilities = kAll) {
  Options options = options_of(Role::kExit);
  options.capabilities = capabilities;
  return options;
}

Bytes message(std::size_t size, std::uint8_t fill = 'q') {
  return Bytes(size, fill);
}

struct Requests : testing::Test {
  SessionPair pair{options_of(Role::kClient), able()};
};

TEST_F(Requests, AnAnswerFindsItsQuery) {
  const RequestId first = pair.client.requests().resolve(message(30), pair.now).value();
  const RequestId second = pair.client.requests().resolve(message(40), pair.now).value();
  EXPECT_NE(first, second);
  pair.pump();
  ASSERT_EQ(count_of<ResolveEvent>(pair.exit_events), 2U);
  const auto* query = std::get_if<ResolveEvent>(&pair.exit_events[1]);
  ASSERT_NE(query, nullptr);
  EXPECT_EQ(query->request, second);
  EXPECT_EQ(query->bytes, message(40));
  EXPECT_TRUE(pair.exit.requests().resolved(second, message(500, 'a'), pair.now));
  pair.pump();
  const auto* answer = find_event<ResolvedEvent>(pair.client_events);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->request, second);
  EXPECT_EQ(answer->bytes, message(500, 'a'));
}

TEST_F(Requests, PingsOfBothFamilies) {
  for (const Destination& host : {kHost, kHost6}) {
    pair.take_events();
    const RequestId ping = pair.client.requests().echo(host, 3, message(56), pair.now).value();
    pair.pump();
    const auto* asked = find_event<EchoEvent>(pair.exit_events);
    ASSERT_NE(asked, nullptr);
    EXPECT_EQ(asked->address, host);
    EXPECT_EQ(asked->hop_limit, 3);
    EXPECT_EQ(asked->bytes, message(56));
    EXPECT_TRUE(pair.exit.requests().echo_reply({ping, host, {11, 0}, 250, {}}, pair.now));
    pair.pump();
    const auto* reply = find_event<EchoReplyEvent>(pair.client_events);
    ASSERT_NE(reply, nullptr);
    EXPECT_EQ(reply->request, ping);
    EXPECT_EQ(reply->address, host);
    EXPECT_EQ(reply->said, (IcmpError{11, 0}));
    EXPECT_EQ(reply->hop_limit, 250);
  }
}

TEST_F(Requests, TheLongestAnswerGetsALargerRecord) {
  const RequestId id = pair.client.requests().resolve(message(kMaxDnsQuery), pair.now).value();
  pair.pump();
  const Bytes longest = message(kMaxDnsAnswer, 'a');
  EXPECT_FALSE(pair.exit.requests().resolved(id, message(kMaxDnsAnswer + 1), pair.now));
  ASSERT_TRUE(pair.exit.requests().resolved(id, longest, pair.now));
  const auto usual = test::next_record(pair.exit, pair.now, kUsualFrames);
  EXPECT_TRUE(usual.all<ResolvedFrame>().empty());
  const auto large = test::next_record(pair.exit, pair.now, kMostFrames);
  ASSERT_EQ(large.all<ResolvedFrame>().size(), 1U);
  EXPECT_EQ(large.all<ResolvedFrame>()[0].message.size(), kMaxDnsAnswer);
}

TEST_F(Requests, WhatCannotBeAskedIsRefusedAtOnce) {
  const auto kind = [](const auto& result) { return result.error().kind; };
  EXPECT_EQ(kind(pair.client.requests().resolve(message(kMaxDnsQuery + 1), pair.now)), ErrorKind::kUsage);
  EXPECT_EQ(kind(pair.client.requests().echo(to_name("host.example", 0), 64, {}, pair.now)),
            ErrorKind::kUsage);
  EXPECT_EQ(kind(pair.client.requests().echo(kHost, 64, message(kMaxEchoData + 1), pair.now)),
            ErrorKind::kUsage);
  pair.client.lose_lane(1);
  EXPECT_EQ(kind(pair.client.requests().resolve(message(30), pair.now)), ErrorKind::kClosed);
  EXPECT_EQ(kind(pair.client.requests().echo(kHost, 64, {}, pair.now)), ErrorKind::kClosed);
  EXPECT_TRUE(pair.client.exit_capabilities()) << "what is known stays known";
}

TEST(RequestsOfAnExit, OnlyWhatItSaysItCan) {
  SessionPair neither{options_of(Role::kClient), options_of(Role::kExit)};
  ASSERT_TRUE(neither.client.exit_capabilities());
  EXPECT_EQ(*neither.client.exit_capabilities(), ExitCapabilities{});
  EXPECT_EQ(neither.client.requests().resolve(message(30), neither.now).error().kind, ErrorKind::kRefused);
  EXPECT_EQ(neither.client.requests().echo(kHost, 64, {}, neither.now).error().kind, ErrorKind::kRefused);

  const ExitCapabilities some{true, false, true, false, false};
  SessionPair pair{options_of(Role::kClient), able(some)};
  EXPECT_EQ(pair.client.exit_capabilities(), some);
  EXPECT_TRUE(pair.client.requests().echo(kHost, 64, {}, pair.now));
  EXPECT_EQ(pair.client.requests().echo(kHost6, 64, {}, pair.now).error().kind, ErrorKind::kRefused);
  EXPECT_EQ(pair.client.requests().resolve(message(30), pair.now).error().kind, ErrorKind::kRefused);

  const Session early(options_of(Role::kClient));
  EXPECT_FALSE(early.exit_capabilities());
}

TEST_F(Requests, WhatWaitsIsBounded) {
  std::size_t taken = 0;
  while (pair.client.requests().resolve(message(kMaxDnsQuery), pair.now)) ++taken;
  EXPECT_GT(taken, 100U);
  EXPECT_LE(pair.client.requests().queued_bytes(), kMaxQueuedRequestBytes);
  EXPECT_EQ(pair.client.requests().resolve(message(kMaxDnsQuery), pair.now).error().kind, ErrorKind::kLimit);
  pair.pump();
  EXPECT_EQ(count_of<ResolveEvent>(pair.exit_events), taken);
  EXPECT_EQ(pair.client.requests().queued_bytes(), 0U);
  for (std::size_t i = 0; i < 20; ++i)
    (void)pair.exit.requests().resolved(0, message(kMaxDnsAnswer), pair.now);
  EXPECT_LE(pair.exit.requests().queued_bytes(), kMaxQueuedRequestBytes);
  pair.exit.end();
  EXPECT_EQ(pair.exit.requests().queued_bytes(), 0U);
}

TEST_F(Requests, WhatWaitsTooLongIsDropped) {
  ASSERT_TRUE(pair.client.requests().resolve(message(30), pair.now));
  pair.now += kRequestPatience + 1ms;
  ASSERT_TRUE(pair.client.requests().resolve(message(31), pair.now));
  pair.pump();
  ASSERT_EQ(count_of<ResolveEvent>(pair.exit_events), 1U);
  EXPECT_EQ(find_event<ResolveEvent>(pair.exit_events)->bytes, message(31));
}

TEST_F(Requests, GoOnOnTheNextLane) {
  ASSERT_TRUE(pair.client.requests().resolve(message(30), pair.now));
  pair.client.lose_lane(1);
  pair.exit.lose_lane(1);
  LaneOptions lane;
  lane.number = 2;
  lane.mode = HelloMode::kResume;
  pair.client.attach_lane(lane, pair.now);
  pair.exit.attach_lane(lane, pair.now);
  pair.pump();
  EXPECT_EQ(count_of<ResolveEvent>(pair.exit_events), 1U);
}

TEST_F(Requests, NotOnALaneThatTheExitMayRefuse) {
  LaneOptions joining;
  joining.number = 2;
  joining.mode = HelloMode::kJoin;
  pair.client.attach_lane(joining, pair.now);
  ASSERT_TRUE(pair.client.requests().resolve(message(30), pair.now));
  const auto hello = test::next_record(pair.client, pair.now);
  EXPECT_TRUE(hello.has<HelloFrame>());
  EXPECT_FALSE(hello.has<ResolveFrame>());
  EXPECT_TRUE(test::next_record(pair.client, pair.now).empty());
  Bytes record(test::kRecordRoom);
  EXPECT_GT(pair.client.fill(1, record, pair.now), 30U);
}

TEST_F(Requests, ADeadLaneIsFoundOut) {
  const auto round_trip = pair.client.lane_counters(1).round_trip;
  ASSERT_TRUE(round_trip);  // no PING is under way
  ASSERT_TRUE(pair.client.requests().resolve(message(30), pair.now));
  EXPECT_FALSE(test::next_record(pair.client, pair.now).all<ResolveFrame>().empty());  // and it is lost
  EXPECT_FALSE(test::next_record(pair.client, pair.now).all<PingFrame>().empty());
  bool alive = true;
  for (int i = 0; i < 400 && alive; ++i) {
    pair.now += 50ms;
    alive = pair.client.tick(1, pair.now, 0);
  }
  EXPECT_FALSE(alive);
}

TEST_F(Requests, DoNotHoldStreamsUp) {
  const StreamId stream = pair.connect();
  while (pair.client.requests().resolve(message(kMaxDnsQuery), pair.now)) {
  }
  ASSERT_GT(test::write(pair.client, stream, 100'000, 0), 64'000U);
  std::size_t requests = 0;
  std::size_t data = 0;
  for (int i = 0; i < 2; ++i) {
    const auto record = pair.pass(pair.client);
    for (const auto& frame : record.all<ResolveFrame>()) requests += frame.message.size();
    for (const auto& frame : record.all<DataFrame>()) data += frame.bytes.size();
  }
  EXPECT_GT(requests, 0U);
  EXPECT_GT(data, 32'000U);
}

TEST(RequestViolations, FramesFromTheWrongSide) {
  Peer client(Role::kClient);
  EXPECT_TRUE(client.breaks_protocol({ResolvedFrame{0, {}}}));
  EXPECT_TRUE(Peer(Role::kClient).breaks_protocol({EchoReplyFrame{0, kHost, {0, 0}, 64, {}}}));
  EXPECT_TRUE(Peer(Role::kExit).breaks_protocol({ResolveFrame{0, {}}}));
  EXPECT_TRUE(Peer(Role::kExit).breaks_protocol({EchoFrame{0, kHost, 64, {}}}));
}

TEST(RequestViolations, AnswersToWhatWasNeverAsked) {
  EXPECT_TRUE(Peer(Role::kExit).breaks_protocol({ResolvedFrame{0, {}}}));
  EXPECT_TRUE(Peer(Role::kExit).breaks_protocol({EchoReplyFrame{5, kHost, {0, 0}, 64, {}}}));
}

}  // namespace
}  // namespace zks::session
