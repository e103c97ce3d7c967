// SPDX-License-Identifier: MIT
#include "session/credit_pool.hpp"

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "session/send_side.hpp"

namespace zks::session {
namespace {

constexpr std::uint64_t kTotal = 64 * 1024 * 1024;
constexpr std::uint64_t kStreams = 2048;

// A reader that keeps up until the pool gives no more, and then stops: what it holds is gone for the others.
std::uint64_t grow_to_the_end(CreditPool& pool) {
  std::uint64_t window = pool.grant_first();
  for (;;) {
    const std::uint64_t larger = std::min(window * 2, kMaxWindow);
    if (larger == window || !pool.grow(window, larger)) return window;
    window = larger;
  }
}

std::uint64_t sum(const std::vector<std::uint64_t>& windows) {
  return std::accumulate(windows.begin(), windows.end(), std::uint64_t{0});
}

TEST(CreditPool, TheFirstStreamStartsWithTheFirstWindow) {
  CreditPool pool(kTotal, kStreams);
  EXPECT_EQ(pool.spare(), kTotal - kStreams * kMinWindow);
  EXPECT_EQ(pool.grant_first(), kFirstWindow);
  EXPECT_EQ(pool.spare(), kTotal - kStreams * kMinWindow - (kFirstWindow - kMinWindow));
}

TEST(CreditPool, OneReaderGetsTheLargestWindow) {
  CreditPool pool(kTotal, kStreams);
  EXPECT_EQ(grow_to_the_end(pool), kMaxWindow);
}

TEST(CreditPool, EveryStreamGetsItsMinimumAndTheSumStaysWithin) {
  CreditPool pool(kTotal, kStreams);
  std::vector<std::uint64_t> windows;
  for (std::uint64_t i = 0; i < kStreams; ++i) {
    windows.push_back(pool.grant_first());
    ASSERT_GE(windows.back(), kMinWindow);
  }
  EXPECT_LE(sum(windows), kTotal);
  EXPECT_EQ(sum(windows) + pool.spare(), kTotal);
}

TEST(CreditPool, GreedyStreamsNeverExceedTheTotal) {
  CreditPool pool(kTotal, kStreams);
  std::vector<std::uint64_t> windows;
  for (std::uint64_t i = 0; i < kStreams; ++i) windows.push_back(grow_to_the_end(pool));
  EXPECT_LE(sum(windows), kTotal);
  EXPECT_EQ(sum(windows) + pool.spare(), kTotal);
}

TEST(CreditPool, AHundredStalledReadersLeaveCreditForOthers) {
  CreditPool pool(kTotal, kStreams);
  for (int i = 0; i < 100; ++i) grow_to_the_end(pool);
  EXPECT_GE(grow_to_the_end(pool), 3 * kMinWindow) << "one after another";

  CreditPool second(kTotal, kStreams);
  std::vector<std::uint64_t> windows;
  for (int i = 0; i < 100; ++i) windows.push_back(second.grant_first());
  for (int round = 0; round < 16; ++round) {
    for (auto& window : windows) {
      const std::uint64_t larger = std::min(window * 2, kMaxWindow);
      if (larger > window && second.grow(window, larger)) window = larger;
    }
  }
  EXPECT_GE(grow_to_the_end(second), 3 * kMinWindow) << "all at once";
}

TEST(CreditPool, AllIsGivenBack) {
  CreditPool pool(kTotal, kStreams);
  const std::uint64_t before = pool.spare();
  std::vector<std::uint64_t> windows;
  for (int i = 0; i < 300; ++i) windows.push_back(grow_to_the_end(pool));
  EXPECT_LT(pool.spare(), before);
  for (const std::uint64_t window : windows) pool.release(window);
  EXPECT_EQ(pool.spare(), before);
}

TEST(CreditPool, WithoutASharedPartEveryStreamHasTheMinimum) {
  CreditPool pool(4 * kMinWindow, 4);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(grow_to_the_end(pool), kMinWindow);
  EXPECT_EQ(pool.spare(), 0U);
}

}  // namespace
}  // namespace zks::session
