// SPDX-License-Identifier: MIT
//
// A client and an exit on ordinary days and on single bad ones.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "net/spawn.hpp"
#include "world.hpp"

namespace zks::sim {
namespace {

using namespace std::chrono_literals;
using State = tunnel::ClientStatus::State;

// Sends back what comes, until it ends.
asio::awaitable<void> echo(World::Target socket) {
  std::array<char, 4096> buffer;
  for (;;) {
    const auto [ec, n] =
        co_await socket.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    if (ec) co_return;
    const auto [failed, sent] =
        co_await asio::async_write(socket, asio::buffer(buffer, n), asio::as_tuple(asio::use_awaitable));
    if (failed) co_return;
  }
}

class Peers : public testing::Test {
 protected:
  // The exit registers before the client comes, unless a test wants it otherwise.
  void begin(WorldOptions options = {}) {
    world_ = std::make_unique<World>(options, [this](const std::string&, World::Target socket) {
      asio::co_spawn(world_->loop, echo(std::move(socket)), net::RethrowFailure{});
    });
  }
  void begin_with_both(WorldOptions options = {}) {
    begin(options);
    world_->start_exit();
    ASSERT_TRUE(world_->until([&] { return world_->relays->has_exit("r0.test"); }));
    world_->start_client();
  }

  // A word there and back.
  bool answers(tunnel::Stream& stream, std::string_view word) {
    std::array<MutableBytes, 4> room;
    if (stream.prepare(word.size(), room) == 0 || room[0].size() < word.size()) return false;
    std::ranges::copy(as_bytes(word), room[0].begin());
    stream.commit(word.size());
    std::string got;
    return world_->until([&] {
      std::array<ByteView, 8> pieces;
      const std::size_t count = stream.peek(pieces);
      std::size_t bytes = 0;
      for (std::size_t i = 0; i < count; ++i) {
        got += as_text(pieces[i]);
        bytes += pieces[i].size();
      }
      if (bytes > 0) stream.consume(bytes);
      return got == word;
    });
  }

  std::unique_ptr<World> world_;
};

TEST_F(Peers, AStreamGoesThereAndBack) {
  begin_with_both();
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  EXPECT_TRUE(answers(*stream, "hello"));
  EXPECT_EQ(world_->relays->pairs("r0.test"), 1u);
  EXPECT_EQ(world_->client->status().session->open_streams, 1u);
}

TEST_F(Peers, AStreamOutlivesItsRelay) {
  begin_with_both();
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_TRUE(answers(*stream, "before"));
    world_->relays->stop("r0.test");
    VirtualTime::run_for(world_->loop, i * 10s);
    world_->relays->start("r0.test");
    const auto began = std::chrono::steady_clock::now();
    EXPECT_TRUE(answers(*stream, "after"));
    EXPECT_LE(std::chrono::steady_clock::now() - began, 17s) << "--reconnect-max, and both dial";
    VirtualTime::run_for(world_->loop, 2s);
  }
  EXPECT_EQ(world_->sessions, 4);
  EXPECT_EQ(world_->client->status().counters.resumes, 3u);
}

// By chance many short pauses follow each other; the next one is then no longer than the relay was away.
TEST_F(Peers, ARelayThatWasAwayForTwoSecondsIsFoundTwoSecondsLater) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    begin_with_both({.seed = seed});
    auto stream = world_->open("echo");
    ASSERT_NE(stream, nullptr);
    VirtualTime::run_for(world_->loop, 2s);
    world_->relays->stop("r0.test");
    VirtualTime::run_for(world_->loop, 2s);
    world_->relays->start("r0.test");
    EXPECT_TRUE(world_->until([&] { return world_->client->status().state == State::kUp; }, 5s))
        << "seed " << seed << ": the exit's pause, then the client's, which is short while no exit is there";
    stream.reset();
    world_.reset();
  }
}

// What was before is over: the next loss is answered as the first one was.
TEST_F(Peers, ALossAfterALongOutageIsMendedAtOnce) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    begin_with_both({.seed = seed});
    auto stream = world_->open("echo");
    ASSERT_NE(stream, nullptr);
    world_->relays->stop("r0.test");
    VirtualTime::run_for(world_->loop, 60s);
    world_->relays->start("r0.test");
    ASSERT_TRUE(world_->until([&] { return world_->client->status().state == State::kUp; }, 31s))
        << "seed " << seed << ": the exit's pause, then the client's";
    VirtualTime::run_for(world_->loop, 20s);
    world_->relays->cut("r0.test");
    const auto began = std::chrono::steady_clock::now();
    EXPECT_TRUE(answers(*stream, "again"));
    EXPECT_LE(std::chrono::steady_clock::now() - began, 2s) << "seed " << seed;
    stream.reset();
    world_.reset();
  }
}

TEST_F(Peers, AClientWaitsForAnExitThatComesLater) {
  begin();
  world_->start_client();
  VirtualTime::run_for(world_->loop, 60s);
  EXPECT_EQ(world_->client->status().state, State::kConnecting);
  world_->start_exit();
  const auto began = std::chrono::steady_clock::now();
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  EXPECT_LE(std::chrono::steady_clock::now() - began, 5s) << "a connection that waits shortens the pause";
  EXPECT_TRUE(answers(*stream, "late"));
}

TEST_F(Peers, ASessionWithoutALaneEndsAtBothEndsWhenItsTimeIsOver) {
  begin_with_both({.orphan_timeout = 30s});
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  world_->relays->stop("r0.test");
  VirtualTime::run_for(world_->loop, 29s);
  EXPECT_FALSE(stream->reset_code()) << "a lane may yet come";
  EXPECT_EQ(world_->exit->status().sessions.size(), 1u);
  VirtualTime::run_for(world_->loop, 2s);
  EXPECT_EQ(stream->reset_code(), session::ResetCode::kSessionLost);
  EXPECT_TRUE(world_->exit->status().sessions.empty());
  world_->relays->start("r0.test");
  VirtualTime::run_for(world_->loop, 16s);
  const auto other = world_->open("echo");
  ASSERT_NE(other, nullptr);
  EXPECT_TRUE(answers(*other, "anew"));
}

// The exit process is another one: it does not know the session, and the client begins a new one there.
TEST_F(Peers, AnExitThatIsStartedAnewHasANewSession) {
  begin_with_both();
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  world_->kill_exit();
  world_->start_exit();
  const auto other = world_->open("echo");
  ASSERT_NE(other, nullptr);
  EXPECT_TRUE(answers(*other, "anew"));
  EXPECT_EQ(stream->reset_code(), session::ResetCode::kSessionLost);
}

TEST_F(Peers, ARelayThatTakesConnectionsAndSaysNothingIsNotWaitedFor) {
  begin({.relays = 2});
  world_->relays->freeze("r0.test", true);
  world_->start_exit();
  ASSERT_TRUE(world_->until([&] { return world_->relays->has_exit("r1.test"); }));
  world_->start_client();
  const auto began = std::chrono::steady_clock::now();
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  EXPECT_LE(std::chrono::steady_clock::now() - began, 2600ms);
  EXPECT_TRUE(answers(*stream, "two"));
  EXPECT_EQ(world_->relays->pairs("r0.test"), 0u);
}

TEST_F(Peers, AStreamLeavesARelayThatFellSilent) {
  begin_with_both({.relays = 2});
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  EXPECT_TRUE(answers(*stream, "one"));
  ASSERT_EQ(world_->relays->pairs("r0.test"), 1u);
  world_->relays->freeze("r0.test", true);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(answers(*stream, "two"));
  EXPECT_LE(std::chrono::steady_clock::now() - began, 5s) << "2 s until that is noticed, 2.5 s for the dial";
  EXPECT_EQ(world_->relays->pairs("r1.test"), 1u);
  EXPECT_EQ(world_->client->status().counters.lanes_lost, 1u);
}

// A lane is due, another one is wanted, and neither is made any more: its last seconds pass quietly.
TEST_F(Peers, AClientThatStopsIsNotBusyWithWhatIsDue) {
  for (const std::size_t lanes : {1, 2}) {
    begin_with_both({.relays = 2, .lanes = lanes, .renew_after = 2s});
    const auto stream = world_->open("echo");
    ASSERT_NE(stream, nullptr);
    world_->client->stop();
    const auto began = std::chrono::steady_clock::now();
    EXPECT_NO_THROW(VirtualTime::run_for(world_->loop, 6s)) << lanes << " lanes";
    EXPECT_EQ(std::chrono::steady_clock::now() - began, 6s);
    EXPECT_TRUE(stream->reset_code()) << "its time was over";
  }
}

TEST_F(Peers, AStreamGoesOnThroughKeysOfTheRelay) {
  begin_with_both({.rotate_after = 1s});
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(answers(*stream, "key " + std::to_string(i)));
    VirtualTime::run_for(world_->loop, 1100ms);
  }
  EXPECT_GE(world_->relays->keys(), 8u);
  EXPECT_EQ(world_->relays->pairs("r0.test"), 1u) << "it was the same lane";
}

// With no other relay, and nothing said: 60 s of silence, and no answer in 5 s.
TEST_F(Peers, ALaneThatIsDeadIsGivenUpThoughNothingWasSaid) {
  begin_with_both();
  const auto stream = world_->open("echo");
  ASSERT_NE(stream, nullptr);
  EXPECT_TRUE(answers(*stream, "one"));
  world_->relays->freeze("r0.test", true);
  EXPECT_TRUE(world_->until([&] { return world_->client->status().state == State::kOrphaned; }, 80s));
}

}  // namespace
}  // namespace zks::sim
