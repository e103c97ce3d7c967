// SPDX-License-Identifier: MIT
//
// What an exit counts by reason, and its JSON.
#include "exit/exit_status.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace zks::exit {
namespace {

TEST(ExitTallyTest, EveryReasonHasANameOfItsOwn) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kResetCodes; ++i) names.insert(name_of(static_cast<session::ResetCode>(i)));
  EXPECT_EQ(names.size(), kResetCodes);
  EXPECT_STREQ(name_of(session::ResetCode::kNotAllowed), "not_allowed");
  EXPECT_STREQ(name_of(session::ResetCode::kSessionLost), "session_lost");
  EXPECT_STREQ(name_of(static_cast<session::ResetCode>(99)), "other");
  names.clear();
  for (std::size_t i = 0; i < kClientRefusals; ++i) names.insert(name_of(static_cast<ClientRefusal>(i)));
  EXPECT_EQ(names.size(), kClientRefusals);
}

TEST(ExitTallyTest, CountsWhatCodesCome) {
  StreamTally streams;
  streams.fail_stream(session::ResetCode::kNotAllowed);
  streams.fail_stream(static_cast<session::ResetCode>(1'000'000));
  ExitTally tally;
  tally.refuse(make_error(ErrorKind::kRefused, ""));
  tally.refuse(make_error(ErrorKind::kIo, ""));
  tally.refuse(ClientRefusal::kBusy);
  ExitStatus status;
  status.tally = tally;
  status.streams = streams;
  const tunnel::Json json = to_json(status);
  EXPECT_EQ(json["counters"]["failed_streams"].dump(), R"({"general_failure":1,"not_allowed":1})");
  EXPECT_EQ(json["counters"]["refused_clients"].dump(), R"({"busy":1,"not_invited":1,"fault":1})");
}

TEST(ExitStatusTest, AFaultIsNotUp) {
  ExitStatus status;
  status.relays.emplace_back().registered = true;
  EXPECT_STREQ(status.state(), "up");
  status.faults = {"no space"};
  EXPECT_STREQ(status.state(), "degraded");
  EXPECT_EQ(to_json(status)["faults"].dump(), R"(["no space"])");
  status.relays.front().registered = false;
  EXPECT_STREQ(status.state(), "connecting");
  status.stopping = true;
  EXPECT_STREQ(status.state(), "stopping");
}

TEST(ExitStatusTest, TheListOfSessionsIsBoundedTheCountIsNot) {
  ExitStatus status;
  status.sessions.resize(kMaxListedSessions + 5);
  status.sessions.back().tunnel.orphaned = true;
  const tunnel::Json json = to_json(status);
  EXPECT_EQ(json["sessions"].size(), kMaxListedSessions);
  EXPECT_EQ(json["live_sessions"], kMaxListedSessions + 5);
  EXPECT_EQ(json["orphans"], 1);
  EXPECT_EQ(json["state"], "connecting");
}

}  // namespace
}  // namespace zks::exit
