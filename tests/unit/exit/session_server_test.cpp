// SPDX-License-Identifier: MIT
//
// Lanes of clients that have proven who they are, over carriers in memory: which session each becomes a part
// of, and what happens to sessions when the exit leaves.
#include "exit/session_server.hpp"

#include <array>

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

#include "../support/join_tunnels.hpp"
#include "../support/run.hpp"
#include "carrier/memory.hpp"
#include "client_end.hpp"
#include "late_refusal.hpp"

namespace zks::exit {
namespace {

using session::HelloMode;
using session::LaneNumber;
using session::ResetCode;
using test::ClientEnd;

tunnel::Claim device_of(std::uint8_t invite, std::uint8_t key = 1) {
  return {{invite}, {key}};
}

class SessionServerTest : public testing::Test {
 protected:
  SessionServerTest() {
    SessionServerOptions options;
    options.connect = test::late_refusal(answers_, ResetCode::kConnectionRefused);
    options.limits.max_sessions = 2;
    server_ = std::make_shared<SessionServer>(loop_.get_executor(), options, InstanceId{5}, nullptr);
  }
  ~SessionServerTest() override {
    answers_->cancel();
    server_->end_all(make_error(ErrorKind::kClosed, "the test is over"));
    server_.reset();
    loop_.restart();
    loop_.poll();
  }

  // The client's next lane, from its first record on.
  Result<> begin(ClientEnd& client, const tunnel::Claim& claim, LaneNumber number, HelloMode mode) {
    auto pair = carrier::make_memory_pair(loop_.get_executor());
    link_ = pair.link;
    auto at_client = test::lane_keys(Direction::kClientToExit, Direction::kExitToClient);
    client.tunnel->attach(std::move(pair.first), std::move(at_client), number, mode);
    carrier::Buffer record;
    EXPECT_TRUE(test::run(loop_, tunnel::read_binary(*pair.second, record)));
    tunnel::Accepted accepted{test::lane_keys(Direction::kExitToClient, Direction::kClientToExit), claim};
    const MutableBytes bytes(static_cast<std::uint8_t*>(record.data().data()), record.size());
    const auto frames = accepted.keys.opener.open(bytes);
    if (!frames) return frames.error();
    return server_->begin({std::move(pair.second), std::move(accepted), *frames, bytes.size()}, allowance());
  }
  // One device has all sessions that there may be, 1 and 2.
  std::array<std::unique_ptr<ClientEnd>, 2> fill() {
    std::array<std::unique_ptr<ClientEnd>, 2> out;
    for (std::uint8_t i = 0; i < out.size(); ++i) {
      out[i] = std::make_unique<ClientEnd>(loop_.get_executor(), SessionId{static_cast<std::uint8_t>(i + 1)});
      EXPECT_TRUE(begin(*out[i], device_of(1), 1, HelloMode::kNew));
    }
    return out;
  }
  std::shared_ptr<Allowance> allowance() {
    return std::make_shared<Allowance>(loop_.get_executor(), std::make_shared<Policy>(Rules{}));
  }
  bool until(const std::function<bool()>& done) { return test::run_until(loop_, done); }
  const SessionRegistry& sessions() const { return server_->sessions(); }

  asio::io_context loop_{1};
  // Over from the beginning: a destination answers at once.
  std::shared_ptr<asio::steady_timer> answers_ = std::make_shared<asio::steady_timer>(loop_);
  std::shared_ptr<SessionServer> server_;
  std::shared_ptr<carrier::MemoryLink> link_;  // of the newest lane
};

TEST_F(SessionServerTest, ALaneBeginsASession) {
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 1, HelloMode::kNew));
  ASSERT_TRUE(until([&] { return client.welcomes == std::vector{HelloMode::kNew}; }));
  EXPECT_EQ(client.tunnel->exit_instance(), InstanceId{5});
  EXPECT_NE(sessions().find(SessionId{1}, device_of(1)), nullptr);
  EXPECT_EQ(server_->tally().begun, 1U);
  client.open(loop_);
  ASSERT_TRUE(until([&] { return !client.refused->empty(); }));
  EXPECT_EQ(*client.refused, std::vector{ResetCode::kConnectionRefused}) << "its streams are served";
  EXPECT_EQ(server_->stream_tally().failed_streams[static_cast<std::size_t>(ResetCode::kConnectionRefused)],
            1U);
}

TEST_F(SessionServerTest, ALaneThatResumesFindsItsSession) {
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 1, HelloMode::kNew));
  ASSERT_TRUE(until([&] { return client.welcomes.size() == 1; }));
  const auto session = sessions().find(SessionId{1}, device_of(1));
  link_->cut();
  ASSERT_TRUE(until([&] { return session->tunnel->orphaned() && client.tunnel->orphaned(); }));
  ASSERT_TRUE(begin(client, device_of(1), 2, HelloMode::kResume));
  ASSERT_TRUE(until([&] { return client.welcomes.size() == 2; }));
  EXPECT_EQ(client.welcomes.back(), HelloMode::kResume);
  EXPECT_EQ(sessions().all(), std::vector{session});
  EXPECT_EQ(server_->tally().resumed, 1U);
}

TEST_F(SessionServerTest, ALaneJoinsTheOthersOfItsSession) {
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 1, HelloMode::kNew));
  ASSERT_TRUE(until([&] { return client.welcomes.size() == 1; }));
  ASSERT_TRUE(begin(client, device_of(1), 2, HelloMode::kJoin));
  ASSERT_TRUE(until([&] { return client.welcomes.size() == 2; }));
  EXPECT_EQ(sessions().all().front()->tunnel->lanes(), 2U);
  EXPECT_EQ(server_->tally().begun, 1U);
}

TEST_F(SessionServerTest, NobodyElsesLaneComesToASession) {
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 1, HelloMode::kNew));
  ClientEnd another(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(another, device_of(1, 2), 1, HelloMode::kResume)) << "it is a session of its own";
  EXPECT_EQ(sessions().size(), 2U);
  EXPECT_EQ(server_->tally().resumed, 0U);
  ClientEnd third(loop_.get_executor(), SessionId{1});
  const auto joined = begin(third, device_of(2), 2, HelloMode::kJoin);
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().text, "a lane that joins a session that is not here");
}

TEST_F(SessionServerTest, ALaneThatWasOvertakenIsRefused) {
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 4, HelloMode::kNew));
  ASSERT_TRUE(until([&] { return client.welcomes.size() == 1; }));
  for (const LaneNumber number : {LaneNumber{3}, LaneNumber{4}}) {
    ClientEnd late(loop_.get_executor(), SessionId{1});
    const auto outcome = begin(late, device_of(1), number, HelloMode::kNew);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, ErrorKind::kClosed);
  }
  EXPECT_EQ(sessions().size(), 1U);
  EXPECT_FALSE(sessions().all().front()->tunnel->orphaned());
}

TEST_F(SessionServerTest, AClientThatBeginsAnewEndsWhatItHad) {
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 1, HelloMode::kNew));
  const auto old = sessions().all().front();
  ClientEnd anew(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(anew, device_of(1), 2, HelloMode::kNew));
  EXPECT_TRUE(old->tunnel->ended());
  EXPECT_EQ(sessions().size(), 1U);
  EXPECT_EQ(server_->tally().begun, 2U);
}

TEST_F(SessionServerTest, TheFirstFrameIsHello) {
  for (const Bytes& frames : {Bytes{}, Bytes{0xff, 0xff, 0xff}, Bytes{0x00}}) {
    auto pair = carrier::make_memory_pair(loop_.get_executor());
    tunnel::Accepted accepted{test::lane_keys(Direction::kExitToClient, Direction::kClientToExit),
                              device_of(1)};
    EXPECT_FALSE(
        server_->begin({std::move(pair.second), std::move(accepted), frames, frames.size()}, allowance()));
  }
  EXPECT_TRUE(sessions().empty());
}

TEST_F(SessionServerTest, LimitsHoldForWhatComesAfterThem) {
  const auto holders = fill();
  ClientEnd third(loop_.get_executor(), SessionId{3});
  const auto refused = begin(third, device_of(1), 1, HelloMode::kNew);
  ASSERT_FALSE(refused) << "who has them all makes no room for itself";
  EXPECT_EQ(refused.error().text, "too many sessions; raise --max-sessions");

  ExitLimits more;
  more.max_sessions = 3;
  more.max_streams = 1;
  server_->set_limits(more);
  ClientEnd fourth(loop_.get_executor(), SessionId{4});
  ASSERT_TRUE(begin(fourth, device_of(1), 1, HelloMode::kNew));
  EXPECT_EQ(sessions().size(), 3U);

  ExitLimits fewer;
  fewer.max_sessions = 1;
  server_->set_limits(fewer);
  EXPECT_EQ(sessions().size(), 3U) << "nobody is sent away by a lower limit";
  ClientEnd fifth(loop_.get_executor(), SessionId{5});
  EXPECT_FALSE(begin(fifth, device_of(1), 1, HelloMode::kNew));
}

TEST_F(SessionServerTest, ANewcomerGetsTheRoomOfWhoHasMost) {
  const auto holders = fill();
  ClientEnd newcomer(loop_.get_executor(), SessionId{3});
  ASSERT_TRUE(begin(newcomer, device_of(2), 1, HelloMode::kNew));
  EXPECT_EQ(sessions().size(), 2U);
  EXPECT_NE(sessions().find(SessionId{3}, device_of(2)), nullptr);
}

TEST_F(SessionServerTest, WithoutASessionItHasLeftAtOnce) {
  EXPECT_FALSE(server_->leave([] { FAIL() << "nobody is left to wait for"; }));
}

TEST_F(SessionServerTest, AnOrphanIsNotWaitedFor) {
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 1, HelloMode::kNew));
  const auto session = sessions().all().front();
  link_->cut();
  ASSERT_TRUE(until([&] { return session->tunnel->orphaned(); }));
  EXPECT_FALSE(server_->leave([] { FAIL() << "it was told already"; }));
  EXPECT_TRUE(session->tunnel->ended());
}

TEST_F(SessionServerTest, ItHasLeftWhenTheLastStreamIsOver) {
  answers_->expires_at(asio::steady_timer::time_point::max());
  ClientEnd first(loop_.get_executor(), SessionId{1});
  ClientEnd second(loop_.get_executor(), SessionId{2});
  for (ClientEnd* client : {&first, &second}) {
    ASSERT_TRUE(begin(*client, device_of(1), 1, HelloMode::kNew));
    client->open(loop_);
  }
  const auto both = sessions().all();
  ASSERT_TRUE(until([&] { return both[0]->connecting == 1 && both[1]->connecting == 1; }));
  int left = 0;
  ASSERT_TRUE(server_->leave([&left] { ++left; }));
  ASSERT_TRUE(until([&] { return !first.goaways.empty() && !second.goaways.empty(); }));
  EXPECT_EQ(first.goaways.front(), session::GoawayCode::kShutdown);
  first.tunnel->reset_streams(ResetCode::kCancelled);
  ASSERT_TRUE(until([&] { return both[0]->tunnel->ended(); }));
  EXPECT_FALSE(both[1]->tunnel->ended());
  EXPECT_EQ(left, 0);
  second.tunnel->reset_streams(ResetCode::kCancelled);
  ASSERT_TRUE(until([&] { return left == 1; }));
  EXPECT_TRUE(sessions().empty());
}

TEST_F(SessionServerTest, NobodyWaitsForEverForAStream) {
  answers_->expires_at(asio::steady_timer::time_point::max());
  ClientEnd client(loop_.get_executor(), SessionId{1});
  ASSERT_TRUE(begin(client, device_of(1), 1, HelloMode::kNew));
  client.open(loop_);
  const auto session = sessions().all().front();
  ASSERT_TRUE(until([&] { return session->connecting == 1; }));
  int left = 0;
  ASSERT_TRUE(server_->leave([&left] { ++left; }));
  server_->end_all(make_error(ErrorKind::kClosed, "stopped"));
  EXPECT_EQ(left, 1);
  EXPECT_TRUE(sessions().empty());
}

}  // namespace
}  // namespace zks::exit
