// SPDX-License-Identifier: MIT
#include "relay/join_limiter.hpp"

#include <gtest/gtest.h>

namespace zks::relay {
namespace {

using namespace std::chrono_literals;
using TimePoint = TokenBucket::TimePoint;

const TimePoint kStart{1000s};

Source address(const char* text) {
  return Source(boost::asio::ip::make_address(text));
}

TEST(JoinLimiter, CountsEachSourceByItself) {
  JoinLimiter limiter(1, kStart);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(limiter.admit(address("192.0.2.1"), kStart));
  EXPECT_FALSE(limiter.admit(address("192.0.2.1"), kStart));
  EXPECT_FALSE(limiter.admit(address("::ffff:192.0.2.1"), kStart)) << "the same address";
  EXPECT_TRUE(limiter.admit(address("192.0.2.2"), kStart));
  EXPECT_TRUE(limiter.admit(address("192.0.2.1"), kStart + 1s));
}

TEST(JoinLimiter, AnIpv6SourceIsItsPrefix) {
  JoinLimiter limiter(0.1, kStart);
  EXPECT_TRUE(limiter.admit(address("2001:db8:1:2::1"), kStart));
  EXPECT_FALSE(limiter.admit(address("2001:db8:1:2:ffff::9"), kStart));
  EXPECT_TRUE(limiter.admit(address("2001:db8:1:3::1"), kStart));
}

TEST(JoinLimiter, ZeroIsNoLimit) {
  JoinLimiter limiter(0, kStart);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(limiter.admit(address("192.0.2.1"), kStart));
  EXPECT_EQ(limiter.sources(), 0U);
}

// Whoever has all addresses in the world fills the table, but no more; the rest shares one bucket until old
// entries are full again.
TEST(JoinLimiter, TheTableIsBounded) {
  JoinLimiter limiter(1, kStart);
  const auto source = [](std::size_t i) {
    return Source(boost::asio::ip::address_v4(static_cast<std::uint32_t>(i)));
  };
  for (std::size_t i = 0; i < JoinLimiter::kMaxSources; ++i) ASSERT_TRUE(limiter.admit(source(i), kStart));
  EXPECT_EQ(limiter.sources(), JoinLimiter::kMaxSources);
  int admitted = 0;
  for (std::size_t i = 0; i < 100; ++i)
    admitted += limiter.admit(source(JoinLimiter::kMaxSources + i), kStart);
  EXPECT_EQ(admitted, 5);
  EXPECT_EQ(limiter.sources(), JoinLimiter::kMaxSources);
  EXPECT_TRUE(limiter.admit(source(JoinLimiter::kMaxSources + 1), kStart + 2s));
  EXPECT_EQ(limiter.sources(), 1U);
}

}  // namespace
}  // namespace zks::relay
