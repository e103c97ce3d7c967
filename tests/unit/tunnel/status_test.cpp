// SPDX-License-Identifier: MIT
//
// A client's state, what it remembers for `status`, and the JSON of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tunnel/client_state.hpp"

namespace zks::tunnel {
namespace {

using session::HelloMode;
using State = ClientStatus::State;

ClientStatus look(const ClientState& client) {
  ClientStatus out;
  client.fill(out);
  return out;
}

TEST(ClientStateTest, ALossAResumeAndALostSession) {
  ClientState client;
  EXPECT_EQ(look(client).state, State::kConnecting);
  client.failed(make_error(ErrorKind::kNetwork, "refused"));
  EXPECT_EQ(look(client).trouble->text, "refused");
  client.came_up(HelloMode::kNew, false);
  EXPECT_EQ(look(client).state, State::kUp);
  EXPECT_EQ(look(client).counters.reconnects, 0U);
  client.came_up(HelloMode::kJoin, true);
  client.lost_lane(make_error(ErrorKind::kClosed, "cut"), /*was_last=*/false);
  EXPECT_EQ(look(client).state, State::kUp);
  client.lost_lane(make_error(ErrorKind::kClosed, "cut again"), /*was_last=*/true);
  EXPECT_EQ(look(client).state, State::kOrphaned);
  EXPECT_EQ(look(client).trouble->text, "cut again");
  client.came_up(HelloMode::kResume, false);
  Traffic traffic;
  traffic.streams = 7;
  client.session_over(traffic, make_error(ErrorKind::kClosed, "over"));
  client.came_up(HelloMode::kNew, false);
  const ClientStatus now = look(client);
  EXPECT_EQ(now.counters.sessions, 2U);
  EXPECT_EQ(now.counters.reconnects, 2U);
  EXPECT_EQ(now.counters.resumes, 1U);
  EXPECT_EQ(now.counters.lanes_lost, 2U);
  EXPECT_EQ(now.counters.failed_attempts, 1U);
  EXPECT_EQ(now.traffic.streams, 7U);
  EXPECT_EQ(now.trouble->text, "over");
}

TEST(ClientStateTest, StoppingIsForGood) {
  ClientState client;
  client.stopping();
  client.came_up(HelloMode::kNew, false);
  EXPECT_EQ(look(client).state, State::kStopping);
}

// What fails for good ends by itself; told to end meanwhile, it does what it has to for that once.
TEST(ClientStateTest, AFailureForGoodIsAnEndAndItsReasonStays) {
  ClientState state;
  state.came_up(HelloMode::kNew, false);
  EXPECT_FALSE(state.is_ending());
  state.failed_for_good(make_error(ErrorKind::kRefused, "revoked"));
  EXPECT_TRUE(state.is_ending());
  EXPECT_EQ(state.state(), ClientState::State::kFailed);
  state.session_over({}, make_error(ErrorKind::kClosed, "over"));
  EXPECT_EQ(state.state(), ClientState::State::kFailed);
  EXPECT_EQ(look(state).state, State::kStopping);
  state.stopping();
  EXPECT_EQ(state.state(), ClientState::State::kStopping);
  state.failed_for_good(make_error(ErrorKind::kIo, "too late"));
  EXPECT_EQ(state.state(), ClientState::State::kStopping);
  EXPECT_EQ(state.final_error()->text, "too late");
}

TEST(ClientStateTest, ASessionIsOneThatWasWelcomed) {
  ClientState state;
  state.failed(make_error(ErrorKind::kNetwork, "refused"));
  EXPECT_FALSE(state.had_session());
  state.came_up(HelloMode::kNew, false);
  state.session_over({}, make_error(ErrorKind::kClosed, "over"));
  EXPECT_TRUE(state.had_session());
}

// A session that never came up and ends is no news: why it did not is told by the attempt that failed.
TEST(ClientStateTest, WhatNeverWasUpDoesNotHideWhy) {
  ClientState client;
  client.failed(make_error(ErrorKind::kRefused, "no exit"));
  client.session_over({}, make_error(ErrorKind::kClosed, "closed"));
  EXPECT_EQ(look(client).trouble->text, "no exit");
}

TEST(StatusJsonTest, HasUnitsInItsNamesAndNullForWhatIsNot) {
  ClientStatus status;
  status.state_age = std::chrono::milliseconds(1500);
  Json json = to_json(status);
  EXPECT_EQ(json["state"], "connecting");
  EXPECT_EQ(json["state_seconds"], 1.5);
  EXPECT_TRUE(json["session"].is_null() && json["last_error"].is_null() && json["exit_instance"].is_null());
  TunnelStatus session;
  LaneStatus lane;
  lane.number = 3;
  lane.round_trip = std::chrono::microseconds(12'345);
  lane.path.relay = "ws://relay.example";
  session.lanes.push_back(lane);
  status.session = session;
  status.trouble = Trouble{"a \x1b b", std::chrono::seconds(2)};
  json = to_json(status);
  const Json& first = json["session"]["lanes"][0];
  EXPECT_EQ(first["rtt_milliseconds"], 12.345);
  EXPECT_TRUE(first["path"]["tls"].is_null() && first["path"]["proxy"].is_null());
  EXPECT_EQ(json["last_error"]["text"], "a ? b");
  EXPECT_THAT(json["state_since"].get<std::string>(), testing::MatchesRegex("....-..-..T..:..:..Z"));
}

}  // namespace
}  // namespace zks::tunnel
