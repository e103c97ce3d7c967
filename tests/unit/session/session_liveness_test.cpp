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
          asked_ = ping.token;
          return static_cast<int>((exit_.now - start) / 1s);
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
  // What is left of `held` bytes, a thousand a second.
  std::size_t drained(std::size_t held) const {
    return held - std::min(held, static_cast<std::size_t>((exit_.now - test::kStart) / 1ms));
  }
  // The early PING of this pause, and its answer.
  void pass_early_ping() {
    ASSERT_EQ(seconds_until_ping(1s), 0);
    ASSERT_TRUE(exit_.send({PongFrame{asked_}}));
  }

  Peer exit_{Role::kExit};
  Token asked_{};  // by the last PING
};

TEST_F(Liveness, WithoutStreamsThereIsNoPingAndNoTimer) {
  EXPECT_EQ(exit_.session.next_deadline(), TimePoint::max());
  EXPECT_EQ(seconds_until_ping(1000s), -1);
}

TEST_F(Liveness, PingAfterTenSecondsWhileDataIsNotConsumed) {
  owe_bytes();
  pass_early_ping();
  const int seconds = seconds_until_ping(100s);
  EXPECT_GE(seconds, 10);
  EXPECT_LE(seconds, 11);
}

TEST_F(Liveness, PingAfterTenSecondsWhileOpenIsNotAnswered) {
  ASSERT_TRUE(exit_.session.streams().open(test::to_name("example.org", 80), exit_.now));
  exit_.answer_pings();
  pass_early_ping();
  const int seconds = seconds_until_ping(100s);
  EXPECT_GE(seconds, 10);
  EXPECT_LE(seconds, 11);
}

TEST_F(Liveness, PingAtOnceWhenItWasAlreadyThatSilent) {
  exit_.now += 1000s;
  ASSERT_TRUE(exit_.session.streams().open(test::to_name("example.org", 80), exit_.now));
  EXPECT_LE(exit_.session.next_deadline(), exit_.now);
  EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
  bool pinged = false;
  for (const auto& record : exit_.take_all()) pinged = pinged || record.has<PingFrame>();
  EXPECT_TRUE(pinged);
}

TEST_F(Liveness, PingAfterAMinuteWithIdleStreams) {
  exit_.open(100'000);
  pass_early_ping();
  const int seconds = seconds_until_ping(200s);
  EXPECT_GE(seconds, 60);
  EXPECT_LE(seconds, 61);
}

// Whoever only reads is owed nothing that it sent. What it said last, that it took what came, is worth one
// question, or a download over a dead path would not be noticed before the minute of idle streams.
TEST_F(Liveness, PingOnceWhenNothingFollowsACredit) {
  const StreamId id = exit_.open(100'000);
  ASSERT_TRUE(exit_.send({DataFrame{id, 0, Bytes(1000, test::byte_at(0))}}));
  pass_early_ping();
  exit_.session.streams().consume(id, 1000, exit_.now);
  EXPECT_LE(seconds_until_ping(100s), 1);
  exit_.now += 1ms;
  ASSERT_TRUE(exit_.send({PaddingFrame{}}));  // a sign of life
  EXPECT_GE(seconds_until_ping(200s), 60);
}

TEST_F(Liveness, AnythingThatArrivesCountsAsLife) {
  owe_bytes();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(exit_.send({PaddingFrame{}}));
    exit_.now += 400ms;
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

TEST_F(Liveness, DeadAfterFifteenSecondsWithoutASign) {
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
  const auto draining = [this] { return drained(40'000); };
  const int seconds = seconds_until_dead(200s, draining);
  EXPECT_GE(seconds, 40) << "a slow uplink, forty seconds of it";
  EXPECT_LE(seconds, 47) << "and five more for the answer";
}

TEST_F(Liveness, AKernelQueueThatStopsDrainingDoesNot) {
  owe_bytes();
  const auto stuck = [this] { return std::max(drained(40'000), std::size_t{15'000}); };
  const int seconds = seconds_until_dead(200s, stuck);
  EXPECT_GE(seconds, 29);
  EXPECT_LE(seconds, 32);
}

// An early PING finds out sooner that nothing comes. It ends nothing that would have lived without it.
TEST_F(Liveness, AnEarlyPingWithoutAnAnswerEndsNoIdleLane) {
  exit_.open(100'000);
  const int seconds = seconds_until_dead(100s, nothing);
  EXPECT_GE(seconds, 65);
  EXPECT_LE(seconds, 67);
}

TEST_F(Liveness, AChangeOfNetworkShortensThePatience) {
  owe_bytes();
  ASSERT_EQ(seconds_until_ping(100s), 0);
  exit_.session.probe(exit_.now);
  const int seconds = seconds_until_dead(100s, nothing);
  EXPECT_GE(seconds, 4);
  EXPECT_LE(seconds, 6);
}

// Or a radio would not sleep while a slow server thinks.
TEST_F(Liveness, TheEarlyPingComesOnceForAPause) {
  const StreamId id = owe_bytes();
  pass_early_ping();
  EXPECT_EQ(seconds_until_ping(9s), -1);
  ASSERT_TRUE(exit_.send({CreditFrame{id, 10, 200'000}}));
  EXPECT_EQ(seconds_until_ping(9s), 0) << "the peer did something";
  ASSERT_TRUE(exit_.send({PongFrame{asked_}}));
  write(exit_.session, id, 10, 1000);
  EXPECT_FALSE(exit_.take_all().empty());
  EXPECT_EQ(seconds_until_ping(9s), 0) << "and so did we";
}

TEST_F(Liveness, AfterALongPauseWhatIsSaidIsAskedFor) {
  const StreamId id = exit_.open(100'000);
  pass_early_ping();
  for (int i = 0; i < 50; ++i) {
    exit_.now += 1s;
    EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
  }
  write(exit_.session, id, 10, 0);
  EXPECT_FALSE(exit_.take_all().empty());
  EXPECT_EQ(seconds_until_ping(100s), 0);
}

// It can make no lane.
TEST_F(Liveness, AnExitDoesNotAskEarly) {
  Peer client(Role::kClient);
  const StreamId id = client.open(100'000);
  write(client.session, id, 1000, 0);
  client.answer_pings();
  const TimePoint start = client.now;
  for (bool pinged = false; !pinged;) {
    client.now = std::clamp(client.session.next_deadline(), client.now, client.now + 1s);
    ASSERT_TRUE(client.session.tick(1, client.now, 0));
    for (const auto& record : client.take_all()) pinged = pinged || record.has<PingFrame>();
    ASSERT_LE(client.now, start + 11s);
  }
  EXPECT_GE(client.now, start + 10s);
}

// A lane is silent long before it is dead: another one may be faster than it is.
class Silence : public Liveness {
 protected:
  // The milliseconds until the lane is silent, or -1 for never within `time`.
  template <class Undrained>
  int until_silent(std::chrono::seconds time, Undrained undrained, bool arriving = false) {
    const TimePoint start = exit_.now;
    while (exit_.now < start + time) {
      step();
      EXPECT_TRUE(exit_.session.tick(1, exit_.now, undrained(), arriving));
      exit_.take_all();
      if (exit_.session.silent(1, exit_.now)) return static_cast<int>((exit_.now - start) / 1ms);
    }
    return -1;
  }
};

TEST_F(Silence, TakesTwoSecondsWithoutASign) {
  owe_bytes();
  EXPECT_EQ(until_silent(10s, nothing), 2000);
  EXPECT_TRUE(exit_.session.silent(1, exit_.now + 9s)) << "as long as nothing comes";
  EXPECT_FALSE(exit_.session.silent(7, exit_.now)) << "there is no such lane";
  ASSERT_TRUE(exit_.send({PaddingFrame{}}));
  EXPECT_FALSE(exit_.session.silent(1, exit_.now));
  EXPECT_EQ(until_silent(10s, nothing), 500) << "what came was no answer";
}

TEST_F(Silence, LastsAfterThePingThatIsDue) {
  owe_bytes();
  EXPECT_EQ(until_silent(10s, nothing), 2000);
  for (int i = 0; i < 12; ++i) {
    exit_.now += 1s;
    EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
    EXPECT_TRUE(exit_.session.silent(1, exit_.now)) << i;
  }
}

TEST_F(Silence, IsNoneAfterAnAnswer) {
  owe_bytes();
  pass_early_ping();
  EXPECT_EQ(until_silent(9s, nothing), -1);
}

TEST_F(Silence, IsNoneWhileBytesMove) {
  owe_bytes();
  std::size_t held = 40'000;
  EXPECT_EQ(until_silent(9s, [&held] { return held -= 1000; }), -1) << "the kernel's queue drains";
  EXPECT_EQ(until_silent(
                3s, [&held] { return held; }, true),
            -1)
      << "a record is on its way";
  EXPECT_NE(until_silent(3s, [&held] { return held; }), -1);
}

// On a path that is back one direction goes on sooner than the other.
TEST_F(Silence, IsNotPutOffWhenAllHasLeft) {
  owe_bytes();
  std::size_t looks = 0;
  EXPECT_EQ(until_silent(9s, [&looks] { return looks++ < 2 ? 300 : 0; }), 2000);
}

// A relay has the PING only now, behind a record as long as what has left.
TEST_F(Silence, GivesTheSecondPathAsLongAsTheFirst) {
  owe_bytes();
  const TimePoint began = exit_.now;
  const auto held = [&] {  // 60 kB, 20 kB a second
    const auto gone = static_cast<std::size_t>((exit_.now - began) / 1ms) * 20;
    return std::size_t{60'000} - std::min(std::size_t{60'000}, gone);
  };
  const int silent = until_silent(20s, held);
  EXPECT_GE(silent, 4'300) << "more than a second after the last of them has left";
  EXPECT_LE(silent, 6'500);
}

// A program that was stopped, or waited for the processor, has not looked at what came.
TEST_F(Silence, DoesNotCountTheTimeInWhichThisEndStoodStill) {
  owe_bytes();
  ASSERT_EQ(seconds_until_ping(1s), 0);
  exit_.now += 5s;
  EXPECT_TRUE(exit_.session.tick(1, exit_.now, 0));
  EXPECT_FALSE(exit_.session.silent(1, exit_.now));
  EXPECT_EQ(until_silent(10s, nothing), 1500);
}

TEST_F(Silence, TakesThreeRoundTrips) {
  Peer far(Role::kExit, test::options_of(Role::kClient));
  const auto pings = far.take().all<PingFrame>();
  ASSERT_EQ(pings.size(), 1U);
  far.now += 2s;
  ASSERT_TRUE(far.send({far.welcome(), PongFrame{pings[0].token}}));
  far.open(100'000);
  const TimePoint start = far.now;
  while (!far.session.silent(1, far.now)) {
    far.now = std::clamp(far.session.next_deadline(), far.now, far.now + 1s);
    ASSERT_TRUE(far.session.tick(1, far.now, 0));
    far.take_all();
  }
  EXPECT_EQ(far.now - start, 6'500ms);
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
