// SPDX-License-Identifier: MIT
#include "exit/expiry_clock.hpp"

#include <gtest/gtest.h>

namespace zks::exit {
namespace {

constexpr std::int64_t kYear = 365 * 86'400;
// Of today, and of the first seconds that signed and unsigned 32 bits can't hold.
constexpr std::int64_t kBegins[] = {1'800'000'000, (std::int64_t{1} << 31) - 2, (std::int64_t{1} << 32) - 2};

class ExpiryClockTest : public testing::TestWithParam<std::int64_t> {
 protected:
  // The answer a second later, with the wall clock so much ahead of the true time.
  std::int64_t next(std::int64_t ahead) {
    ++steady_;
    return clock_.now({GetParam() + steady_ + ahead, steady_});
  }
  // A second later the answer is `believed` ahead of the true time.
  void expect(std::int64_t ahead, std::int64_t believed) {
    const std::int64_t answer = next(ahead);
    EXPECT_EQ(answer, GetParam() + steady_ + believed);
  }

  ExpiryClock clock_;
  std::int64_t steady_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Years, ExpiryClockTest, testing::ValuesIn(kBegins));

TEST_P(ExpiryClockTest, FollowsTheWallClock) {
  for (int i = 0; i < 100; ++i) expect(0, 0);
  EXPECT_FALSE(clock_.jump());
}

TEST_P(ExpiryClockTest, AJumpOfSecondsIsNotBelieved) {
  for (const std::int64_t jump : {kYear, -kYear}) {
    next(0);
    for (int i = 0; i < ExpiryClock::kStays; ++i) {
      expect(jump, 0);
      EXPECT_EQ(clock_.jump(), jump);
    }
    expect(0, 0);
    EXPECT_FALSE(clock_.jump());
  }
}

TEST_P(ExpiryClockTest, OneThatStaysIsBelievedAfterAMinute) {
  next(0);
  for (int i = 0; i < ExpiryClock::kStays; ++i) expect(kYear, 0);
  expect(kYear, kYear);
  EXPECT_FALSE(clock_.jump());
  expect(kYear, kYear);
}

TEST_P(ExpiryClockTest, AJumpElsewhereBeginsTheMinuteAnew) {
  next(0);
  for (int i = 0; i < 3 * ExpiryClock::kStays; ++i) {
    expect(i % 20 < 10 ? kYear : -kYear, 0);
  }
}

TEST_P(ExpiryClockTest, ASlewedClockIsFollowedAllTheWay) {
  for (std::int64_t ahead = 0; ahead < 100; ++ahead) expect(ahead, ahead);
}

TEST(ExpiryClock, ReadsClocksThatGoOn) {
  const ExpiryClock::Readings readings = ExpiryClock::read();
  EXPECT_GT(readings.wall, 1'700'000'000);
  EXPECT_GT(readings.steady, 0);
}

}  // namespace
}  // namespace zks::exit
