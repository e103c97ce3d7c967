// SPDX-License-Identifier: MIT
#include "relay/join_limiter.hpp"

#include <gtest/gtest.h>

#include "source_of.hpp"

namespace zks::relay {
namespace {

using test::source_of;

using namespace std::chrono_literals;
using TimePoint = TokenBucket::TimePoint;

const TimePoint kBeginning{1000s};
constexpr int kBurst = 20;  // at one a second

TEST(JoinLimiter, CountsEachSourceByItself) {
  JoinLimiter limiter(1);
  for (int i = 0; i < kBurst; ++i) EXPECT_TRUE(limiter.admit(source_of("192.0.2.1"), kBeginning));
  EXPECT_FALSE(limiter.admit(source_of("192.0.2.1"), kBeginning));
  EXPECT_FALSE(limiter.admit(source_of("::ffff:192.0.2.1"), kBeginning)) << "the same address";
  EXPECT_TRUE(limiter.admit(source_of("192.0.2.2"), kBeginning));
  EXPECT_TRUE(limiter.admit(source_of("192.0.2.1"), kBeginning + 1s));
}

TEST(JoinLimiter, AnIpv6SourceIsItsPrefix) {
  JoinLimiter limiter(0.01);
  EXPECT_TRUE(limiter.admit(source_of("2001:db8:1:2::1"), kBeginning));
  EXPECT_FALSE(limiter.admit(source_of("2001:db8:1:2:ffff::9"), kBeginning));
  EXPECT_TRUE(limiter.admit(source_of("2001:db8:1:3::1"), kBeginning));
}

TEST(JoinLimiter, ZeroIsNoLimit) {
  JoinLimiter limiter(0);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(limiter.admit(source_of("192.0.2.1"), kBeginning));
  EXPECT_EQ(limiter.sources(), 0U);
}

// Whoever has all addresses in the world fills the table, but no more, and nobody shares a bucket with him.
TEST(JoinLimiter, WhoAskedLongestAgoIsForgottenWhenTheTableIsFull) {
  JoinLimiter limiter(1);
  const auto source = [](std::size_t i) {
    return Source(boost::asio::ip::address_v4(static_cast<std::uint32_t>(i)));
  };
  const Source busy = source_of("192.0.2.1");
  for (int i = 0; i < kBurst; ++i) ASSERT_TRUE(limiter.admit(busy, kBeginning));
  for (std::size_t i = 0; i < 2 * JoinLimiter::kMaxSources; ++i) {
    for (int taken = 0; taken < kBurst; ++taken) ASSERT_TRUE(limiter.admit(source(i), kBeginning)) << i;
    if (i % 1000 != 0) continue;
    ASSERT_FALSE(limiter.admit(busy, kBeginning)) << "it asks, and so is remembered";
  }
  EXPECT_EQ(limiter.sources(), JoinLimiter::kMaxSources);
}

}  // namespace
}  // namespace zks::relay
