// SPDX-License-Identifier: MIT
#include "base/repeat_notice.hpp"

#include <gtest/gtest.h>

namespace zks {
namespace {

using namespace std::chrono_literals;

TEST(RepeatNotice, IsDueAtOnceAndAfterThePause) {
  RepeatNotice notice(10s);
  auto now = RepeatNotice::TimePoint();
  EXPECT_TRUE(notice.is_due(now)) << "whatever the clock says";
  EXPECT_FALSE(notice.is_due(now));
  now += 9'999ms;
  EXPECT_FALSE(notice.is_due(now));
  now += 1ms;
  EXPECT_TRUE(notice.is_due(now));
  now += 9'999ms;
  EXPECT_FALSE(notice.is_due(now)) << "what was not told does not count";
}

TEST(RepeatNotice, AnotherThingIsToldAtOnce) {
  RepeatNotice notice(10s);
  const auto now = RepeatNotice::TimePoint() + 1h;
  EXPECT_TRUE(notice.is_due(now));
  notice.reset();
  EXPECT_TRUE(notice.is_due(now));
  EXPECT_FALSE(notice.is_due(now));
}

}  // namespace
}  // namespace zks
