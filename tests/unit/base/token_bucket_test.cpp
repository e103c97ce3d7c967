// SPDX-License-Identifier: MIT
#include "base/token_bucket.hpp"

#include <gtest/gtest.h>

namespace zks {
namespace {

using namespace std::chrono_literals;
using TimePoint = TokenBucket::TimePoint;

const TimePoint kStart{1000s};

TEST(TokenBucket, GivesABurstAndThenTheRate) {
  TokenBucket bucket(2, 3, kStart);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.try_take(1, kStart));
  EXPECT_FALSE(bucket.try_take(1, kStart));
  EXPECT_FALSE(bucket.try_take(1, kStart + 499ms));
  EXPECT_TRUE(bucket.try_take(1, kStart + 500ms));
  EXPECT_FALSE(bucket.try_take(1, kStart + 500ms));
}

TEST(TokenBucket, KeepsNoMoreThanTheBurst) {
  TokenBucket bucket(10, 2, kStart);
  EXPECT_TRUE(bucket.full(kStart));
  EXPECT_TRUE(bucket.try_take(2, kStart + 1h));
  EXPECT_FALSE(bucket.full(kStart + 1h));
  EXPECT_FALSE(bucket.try_take(1, kStart + 1h));
  EXPECT_TRUE(bucket.full(kStart + 1h + 200ms));
}

TEST(TokenBucket, LendsAndSaysHowLongToPause) {
  TokenBucket bucket(1000, 100, kStart);
  EXPECT_EQ(bucket.take(100, kStart), 0s);
  EXPECT_EQ(bucket.take(500, kStart), 500ms);
  EXPECT_EQ(bucket.take(500, kStart + 500ms), 500ms);
}

TEST(TokenBucket, AClockThatStandsStillGivesNothing) {
  TokenBucket bucket(1000, 1, kStart);
  EXPECT_TRUE(bucket.try_take(1, kStart));
  EXPECT_FALSE(bucket.try_take(1, kStart - 1h));
  EXPECT_FALSE(bucket.try_take(1, kStart));
}

TEST(TokenBucket, TakesBackNoMoreThanTheBurst) {
  TokenBucket bucket(1, 3, kStart);
  EXPECT_EQ(bucket.take(5, kStart), 2s);
  bucket.give_back(4);
  EXPECT_TRUE(bucket.try_take(2, kStart));
  bucket.give_back(100);
  EXPECT_TRUE(bucket.try_take(3, kStart));
  EXPECT_FALSE(bucket.try_take(1, kStart));
}

}  // namespace
}  // namespace zks
