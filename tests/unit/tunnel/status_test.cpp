// SPDX-License-Identifier: MIT
//
// What a client remembers for `status`, and the JSON of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tunnel/client_history.hpp"

namespace zks::tunnel {
namespace {

using session::HelloMode;
using State = ClientStatus::State;

ClientStatus look(const ClientHistory& history) {
  ClientStatus out;
  history.fill(out);
  return out;
}

TEST(ClientHistoryTest, ALossAResumeAndALostSession) {
  ClientHistory history;
  EXPECT_EQ(look(history).state, State::kConnecting);
  history.failed(make_error(ErrorKind::kNetwork, "refused"));
  EXPECT_EQ(look(history).trouble->text, "refused");
  history.came_up(HelloMode::kNew, false);
  EXPECT_EQ(look(history).state, State::kUp);
  EXPECT_EQ(look(history).counters.reconnects, 0U);
  history.came_up(HelloMode::kJoin, true);
  history.lost_lane(make_error(ErrorKind::kClosed, "cut"), /*was_last=*/false);
  EXPECT_EQ(look(history).state, State::kUp);
  history.lost_lane(make_error(ErrorKind::kClosed, "cut again"), /*was_last=*/true);
  EXPECT_EQ(look(history).state, State::kOrphaned);
  EXPECT_EQ(look(history).trouble->text, "cut again");
  history.came_up(HelloMode::kResume, false);
  Traffic traffic;
  traffic.streams = 7;
  history.session_over(traffic, make_error(ErrorKind::kClosed, "over"));
  history.came_up(HelloMode::kNew, false);
  const ClientStatus now = look(history);
  EXPECT_EQ(now.counters.sessions, 2U);
  EXPECT_EQ(now.counters.reconnects, 2U);
  EXPECT_EQ(now.counters.resumes, 1U);
  EXPECT_EQ(now.counters.lanes_lost, 2U);
  EXPECT_EQ(now.counters.failed_attempts, 1U);
  EXPECT_EQ(now.traffic.streams, 7U);
  EXPECT_EQ(now.trouble->text, "over");
}

TEST(ClientHistoryTest, StoppingIsForGood) {
  ClientHistory history;
  history.stopping();
  history.came_up(HelloMode::kNew, false);
  EXPECT_EQ(look(history).state, State::kStopping);
}

// A session that never came up and ends is no news: why it did not is told by the attempt that failed.
TEST(ClientHistoryTest, WhatNeverWasUpDoesNotHideWhy) {
  ClientHistory history;
  history.failed(make_error(ErrorKind::kRefused, "no exit"));
  history.session_over({}, make_error(ErrorKind::kClosed, "closed"));
  EXPECT_EQ(look(history).trouble->text, "no exit");
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
