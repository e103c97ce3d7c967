// SPDX-License-Identifier: MIT
#include "relay/join_limiter.hpp"

#include <gtest/gtest.h>

namespace zks::relay {
namespace {

using namespace std::chrono_literals;
using TimePoint = TokenBucket::TimePoint;

const TimePoint kStart{1000s};
constexpr int kBurst = 20;  // at one a second

Source address(const char* text) {
  return Source(boost::asio::ip::make_address(text));
}

TEST(JoinLimiter, CountsEachSourceByItself) {
  JoinLimiter limiter(1);
  for (int i = 0; i < kBurst; ++i) EXPECT_TRUE(limiter.admit(address("192.0.2.1"), kStart));
  EXPECT_FALSE(limiter.admit(address("192.0.2.1"), kStart));
  EXPECT_FALSE(limiter.admit(address("::ffff:192.0.2.1"), kStart)) << "the same address";
  EXPECT_TRUE(limiter.admit(address("192.0.2.2"), kStart));
  EXPECT_TRUE(limiter.admit(address("192.0.2.1"), kStart + 1s));
}

TEST(JoinLimiter, AnIpv6SourceIsItsPrefix) {
  JoinLimiter limiter(0.01);
  EXPECT_TRUE(limiter.admit(address("2001:db8:1:2::1"), kStart));
  EXPECT_FALSE(limiter.admit(address("2001:db8:1:2:ffff::9"), kStart));
  EXPECT_TRUE(limiter.admit(address("2001:db8:1:3::1"), kStart));
}

TEST(JoinLimiter, ZeroIsNoLimit) {
  JoinLimiter limiter(0);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(limiter.admit(address("192.0.2.1"), kStart));
  EXPECT_EQ(limiter.sources(), 0U);
}

// Whoever has all addresses in the world fills the table, but no more, and nobody shares a bucket with him.
TEST(JoinLimiter, WhoAskedLongestAgoIsForgottenWhenTheTableIsFull) {
  JoinLimiter limiter(1);
  const auto source = [](std::size_t i) {
    return Source(boost::asio::ip::address_v4(static_cast<std::uint32_t>(i)));
  };
  const Source busy = address("192.0.2.1");
  for (int i = 0; i < kBurst; ++i) ASSERT_TRUE(limiter.admit(busy, kStart));
  for (std::size_t i = 0; i < 2 * JoinLimiter::kMaxSources; ++i) {
    for (int taken = 0; taken < kBurst; ++taken) ASSERT_TRUE(limiter.admit(source(i), kStart)) << i;
    if (i % 1000 != 0) continue;
    ASSERT_FALSE(limiter.admit(busy, kStart)) << "it asks, and so is remembered";
  }
  EXPECT_EQ(limiter.sources(), JoinLimiter::kMaxSources);
}

}  // namespace
}  // namespace zks::relay
