// SPDX-License-Identifier: MIT
#include "session/pacer.hpp"

#include <gtest/gtest.h>

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using TimePoint = Pacer::TimePoint;

constexpr double kMegabyte = 1e6;  // a second: 1,000 bytes in a millisecond

TEST(Pacer, TheFirstMayGoAtOnce) {
  EXPECT_LE(Pacer().next_send_time(), TimePoint(1h));
}

TEST(Pacer, WhatIsSentInTurnLeavesAtTheRate) {
  Pacer pacer;
  TimePoint now(1h);
  const TimePoint start = now;
  for (int i = 0; i < 100; ++i) {
    now = std::max(now, pacer.next_send_time());
    pacer.on_sent(10'000, kMegabyte, now);
  }
  // A burst's time may be used in advance, and no more.
  EXPECT_EQ(pacer.next_send_time() - start, 1s - Pacer::kBurst);
}

TEST(Pacer, ATimerThatIsLateMayCatchUpWithABurst) {
  Pacer pacer;
  TimePoint now(1h);
  pacer.on_sent(10'000, kMegabyte, now);
  now = pacer.next_send_time() + 1ms;
  pacer.on_sent(10'000, kMegabyte, now);
  EXPECT_EQ(pacer.next_send_time(), now + 9ms) << "the millisecond is made up for";
  now = pacer.next_send_time() + 1s;
  pacer.on_sent(10'000, kMegabyte, now);
  EXPECT_EQ(pacer.next_send_time(), now + 10ms - Pacer::kBurst) << "a second is not";
}

TEST(Pacer, NoPauseIsLongerThanItsBound) {
  Pacer pacer;
  const TimePoint now(1h);
  pacer.on_sent(64 * 1024, 1, now);
  EXPECT_EQ(pacer.next_send_time(), now - Pacer::kBurst + Pacer::kLongestPause);
}

TEST(Pacer, TimeIsBytesByRate) {
  EXPECT_EQ(Pacer::time_for(5'000, kMegabyte), 5ms);
}

}  // namespace
}  // namespace zks::session
