// SPDX-License-Identifier: MIT
//
// Liveness (PROTOCOL.md): when PING goes out, and when a lane is given up.
#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::Peer;
using test::write;

class Liveness : public ::testing::Test {
 protected:
  // Time passes as the session asks for it; the seconds until it sent a PING, or -1 for none within
  // `longest`.
  int seconds_until_ping(std::chrono::seconds longest) {
    const TimePoint start = exit_.now;
    while (exit_.now < start + longest) {
      step();
      EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
      for (const auto& record : exit_.take_all()) {
        for (const auto& ping : record.all<PingFrame>()) {
          if (!ping.pong) return static_cast<int>((exit_.now - start) / 1s);
        }
      }
    }
    return -1;
  }
  // The seconds until the lane is given up; `undrained` says what the kernel holds at each look.
  template <class Undrained>
  int seconds_until_dead(std::chrono::seconds longest, Undrained undrained) {
    const TimePoint start = exit_.now;
    while (exit_.now < start + longest) {
      step();
      if (!exit_.session.tick(1, exit_.now, undrained())) return static_cast<int>((exit_.now - start) / 1s);
      exit_.take_all();
    }
    return -1;
  }
  // To the session's next deadline, at most a second ahead.
  void step() { exit_.now = std::clamp(exit_.session.next_deadline(), exit_.now, exit_.now + 1s); }
  // A stream whose bytes the exit has not consumed.
  StreamId owe_bytes() {
    const StreamId id = exit_.open(100'000);
    write(exit_.session, id, 1000, 0);
    exit_.answer_pings();
    return id;
  }
  static std::size_t nothing() { return 0; }

  Peer exit_{Role::kExit};
};

TEST_F(Liveness, WithoutStreamsThereIsNoPingAndNoTimer) {
  EXPECT_EQ(exit_.session.next_deadline(), TimePoint::max());
  EXPECT_EQ(seconds_until_ping(1000s), -1);
}

TEST_F(Liveness, PingAfterTenSecondsWhileDataIsNotConsumed) {
  owe_bytes();
  const int seconds = seconds_until_ping(100s);
  EXPECT_GE(seconds, 10);
  EXPECT_LE(seconds, 11);
}

TEST_F(Liveness, PingAfterTenSecondsWhileOpenIsNotAnswered) {
  ASSERT_TRUE(exit_.session.open(test::to_name("example.org", 80), exit_.now));
  exit_.answer_pings();
  const int seconds = seconds_until_ping(100s);
  EXPECT_GE(seconds, 10);
  EXPECT_LE(seconds, 11);
}

TEST_F(Liveness, PingAtOnceWhenItWasAlreadyThatSilent) {
  exit_.now += 1000s;
  ASSERT_TRUE(exit_.session.open(test::to_name("example.org", 80), exit_.now));
  EXPECT_LE(exit_.session.next_deadline(), exit_.now);
  EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
  bool pinged = false;
  for (const auto& record : exit_.take_all()) pinged = pinged || record.has<PingFrame>();
  EXPECT_TRUE(pinged);
}

TEST_F(Liveness, PingAfterAMinuteWithIdleStreams) {
  exit_.open(100'000);
  const int seconds = seconds_until_ping(200s);
  EXPECT_GE(seconds, 60);
  EXPECT_LE(seconds, 61);
}

// Whoever only reads is owed nothing that it sent. What it said last, that it took what came, is worth one
// question, or a download over a dead path would not be noticed before the minute of idle streams.
TEST_F(Liveness, PingOnceWhenNothingFollowsACredit) {
  const StreamId id = exit_.open(100'000);
  ASSERT_TRUE(exit_.send({DataFrame{id, 0, Bytes(1000, test::byte_at(0))}}));
  exit_.session.consume(id, 1000, exit_.now);
  const int seconds = seconds_until_ping(100s);
  EXPECT_GE(seconds, 10);
  EXPECT_LE(seconds, 11);
  exit_.now += 1ms;
  ASSERT_TRUE(exit_.send({PaddingFrame{}}));  // a sign of life
  EXPECT_GE(seconds_until_ping(200s), 60);
}

TEST_F(Liveness, AnythingThatArrivesCountsAsLife) {
  owe_bytes();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(exit_.send({PaddingFrame{}}));
    exit_.now += 1s;
    EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
    EXPECT_TRUE(exit_.take_all().empty());
  }
}

TEST_F(Liveness, PingGoesBeforeEverythingElse) {
  const StreamId id = owe_bytes();
  write(exit_.session, id, 50'000, 1000);
  exit_.now += 10s;
  EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
  const auto record = exit_.take();
  ASSERT_GE(record.frames.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<PingFrame>(record.frames[0]));
  EXPECT_TRUE(record.has<DataFrame>());
}

TEST_F(Liveness, DeadFiveSecondsAfterAPingWithoutAnswer) {
  owe_bytes();
  const int seconds = seconds_until_dead(100s, nothing);
  EXPECT_GE(seconds, 15);
  EXPECT_LE(seconds, 17);
}

TEST_F(Liveness, AnAnswerKeepsItAlive) {
  owe_bytes();
  for (int i = 0; i < 10; ++i) {
    ASSERT_NE(seconds_until_ping(100s), -1);
    exit_.now += 4s;
    ASSERT_TRUE(exit_.send({PaddingFrame{}})) << "any byte, not only PONG";
    EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
  }
}

TEST_F(Liveness, ABlackHoleUnderLoadIsNoticedAsSoon) {
  owe_bytes();
  const int seconds = seconds_until_dead(100s, [] { return 200'000; });
  EXPECT_GE(seconds, 15);
  EXPECT_LE(seconds, 17) << "what the kernel holds does not get less";
}

TEST_F(Liveness, AKernelQueueThatDrainsGetsLonger) {
  owe_bytes();
  std::size_t held = 40'000;
  const auto draining = [&held] { return held = held > 1000 ? held - 1000 : 0; };
  const int seconds = seconds_until_dead(200s, draining);
  EXPECT_GE(seconds, 40) << "a slow uplink, forty seconds of it";
  EXPECT_LE(seconds, 47) << "and five more for the answer";
}

TEST_F(Liveness, AKernelQueueThatStopsDrainingDoesNot) {
  owe_bytes();
  std::size_t held = 40'000;
  const auto stuck = [&held] { return held = held > 15'000 ? held - 1000 : held; };
  const int seconds = seconds_until_dead(200s, stuck);
  EXPECT_GE(seconds, 29);
  EXPECT_LE(seconds, 32);
}

TEST_F(Liveness, AnExitThatNeverWelcomesIsGivenUp) {
  Peer silent(Role::kExit, test::options_of(Role::kClient));
  silent.take_all();
  silent.now += 4s;
  EXPECT_TRUE(silent.session.tick(1, silent.now, 0));
  silent.now += 1s;
  EXPECT_FALSE(silent.session.tick(1, silent.now, 0));
}

}  // namespace
}  // namespace zks::session
