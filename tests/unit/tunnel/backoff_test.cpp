// SPDX-License-Identifier: MIT
#include "tunnel/backoff.hpp"

#include <gtest/gtest.h>

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, StaysBetweenAFifthOfASecondAndTheLongest) {
  for (int failures = 0; failures < 100; ++failures) {
    const auto pause = jittered_pause(failures, 15'000ms);
    EXPECT_GE(pause, 200ms);
    EXPECT_LE(pause, 15'000ms);
  }
  for (int i = 0; i < 100; ++i) EXPECT_LE(jittered_pause(1, 15'000ms), 400ms);
  EXPECT_EQ(jittered_pause(50, 0ms), 200ms);
}

// A lane that is welcomed and breaks at once, over and over, is tried as seldom as one that is never made.
TEST(Backoff, ASuccessThatEndsAtOnceIsNone) {
  Backoff backoff;
  auto now = std::chrono::steady_clock::time_point();
  for (int i = 1; i <= 10; ++i) {
    backoff.began(now);
    now += Backoff::kLived - 1ms;
    backoff.ended(now);
    EXPECT_EQ(backoff.failures(), i);
  }
  backoff.failed(now);
  EXPECT_EQ(backoff.failures(), 11);
  backoff.began(now);
  now += Backoff::kLived;
  EXPECT_EQ(backoff.failures(), 11) << "it has to live first";
  backoff.ended(now);
  EXPECT_EQ(backoff.failures(), 0);
  for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.pause(now, 15'000ms), 400ms);
}

TEST(Backoff, WhatEndsWithoutHavingBegunAndWhatFailedSinceCount) {
  Backoff backoff;
  const auto now = std::chrono::steady_clock::time_point();
  backoff.ended(now);
  EXPECT_EQ(backoff.failures(), 1);
  backoff.began(now);
  backoff.failed(now);
  backoff.ended(now + 1h);
  EXPECT_EQ(backoff.failures(), 3);
  for (int i = 0; i < 100; ++i) backoff.failed(now + 1h);
  EXPECT_LE(backoff.pause(now + 2h, 15'000ms), 15'000ms);
  backoff.reset();
  EXPECT_EQ(backoff.failures(), 0);
}

// Many short pauses may follow each other by chance: a trouble of 2 s is not answered with 13 s more.
TEST(Backoff, IsNoLongerThanTheTroubleHasLasted) {
  Backoff backoff;
  const auto began = std::chrono::steady_clock::time_point() + 1h;
  for (int i = 0; i < 10; ++i) backoff.failed(began + i * 200ms);
  auto most = 0ms;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(backoff.pause(began, 15'000ms), 400ms);
    EXPECT_LE(backoff.pause(began + 2s, 15'000ms), 2s);
    most = std::max(most, backoff.pause(began + 1min, 15'000ms));
  }
  EXPECT_GT(most, 12'000ms) << "misses with a chance of 10^-97";
  backoff.began(began + 1min);
  backoff.ended(began + 1min + Backoff::kLived);
  backoff.failed(began + 2min);
  for (int i = 0; i < 100; ++i) {
    EXPECT_LE(backoff.pause(began + 2min, 15'000ms), 400ms) << "what was before is over";
  }
}

TEST(Backoff, IsSpreadOut) {
  auto least = 15'000ms;
  auto most = 0ms;
  for (int i = 0; i < 1000; ++i) {
    const auto pause = jittered_pause(20, 15'000ms);
    least = std::min(least, pause);
    most = std::max(most, pause);
  }
  EXPECT_LT(least, 3'000ms);  // misses with a chance of 10^-90
  EXPECT_GT(most, 12'000ms);
}

}  // namespace
}  // namespace zks::tunnel
