// SPDX-License-Identifier: MIT
#include "session/rate_sampler.hpp"

#include <gtest/gtest.h>

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using TimePoint = RateSampler::TimePoint;

constexpr std::uint64_t kRecord = 16 * 1024;
constexpr TimePoint kStart{1h};

TEST(RateSampler, AnAcknowledgementOfWhatWasNotToldOfShowsNothing) {
  RateSampler sampler;
  EXPECT_TRUE(sampler.idle());
  EXPECT_FALSE(sampler.on_acknowledged(kRecord, kStart));
  sampler.on_sent(kRecord, 0, kStart);
  EXPECT_FALSE(sampler.idle());
  EXPECT_FALSE(sampler.on_acknowledged(kRecord - 1, kStart + 10ms)) << "not all of it";
  EXPECT_TRUE(sampler.on_acknowledged(kRecord, kStart + 10ms));
  EXPECT_TRUE(sampler.idle());
}

// Ten records a millisecond apart, acknowledged so too: the path carries a record a millisecond.
TEST(RateSampler, TheRateIsWhatArrivesInATime) {
  RateSampler sampler;
  for (std::uint64_t i = 0; i < 10; ++i) sampler.on_sent((i + 1) * kRecord, 0, kStart + i * 1ms);
  std::optional<RateSample> sample;
  for (std::uint64_t i = 0; i < 10; ++i) {
    sample = sampler.on_acknowledged((i + 1) * kRecord, kStart + 20ms + i * 1ms);
    ASSERT_TRUE(sample);
    EXPECT_EQ(sample->rtt, 20ms);
    EXPECT_EQ(sample->silence, i == 0 ? 20ms : 1ms);
  }
  // These were sent before anything was acknowledged, so their time counts from the beginning.
  EXPECT_NEAR(sample->delivery_rate, 10 * kRecord / 0.029, 1);
  for (std::uint64_t i = 10; i < 20; ++i)
    sampler.on_sent((i + 1) * kRecord, 10 * kRecord, kStart + 30ms + i * 1ms);
  EXPECT_EQ(sampler.delivered_time(), kStart + 40ms) << "nothing was under way when these were sent";
}

// All that stood behind a lost segment is acknowledged at once: it was not carried in no time.
TEST(RateSampler, AHeapOfAcknowledgementsCountsForNoMoreThanWasSent) {
  RateSampler sampler;
  for (std::uint64_t i = 0; i < 100; ++i) sampler.on_sent((i + 1) * kRecord, 0, kStart + i * 1ms);
  ASSERT_TRUE(sampler.on_acknowledged(kRecord, kStart + 100ms));
  const auto heap = sampler.on_acknowledged(100 * kRecord, kStart + 101ms);
  ASSERT_TRUE(heap);
  EXPECT_LE(heap->delivery_rate, 1.01 * kRecord / 0.001);
}

TEST(RateSampler, ARoundEndsWithWhatWasUnderWayWhenItBegan) {
  RateSampler sampler;
  sampler.on_sent(kRecord, 0, kStart);
  sampler.on_sent(2 * kRecord, 0, kStart + 1ms);
  sampler.on_sent(3 * kRecord, 0, kStart + 2ms);
  EXPECT_TRUE(sampler.on_acknowledged(kRecord, kStart + 10ms)->ends_round) << "the first record alone";
  EXPECT_FALSE(sampler.on_acknowledged(2 * kRecord, kStart + 11ms)->ends_round);
  sampler.on_sent(4 * kRecord, 2 * kRecord, kStart + 11ms);
  EXPECT_TRUE(sampler.on_acknowledged(3 * kRecord, kStart + 12ms)->ends_round);
  EXPECT_TRUE(sampler.on_acknowledged(4 * kRecord, kStart + 21ms)->ends_round);
}

TEST(RateSampler, MarksAreBounded) {
  RateSampler sampler;
  const std::uint64_t more = RateSampler::kMaxMarks + 10;
  for (std::uint64_t i = 0; i < more; ++i) sampler.on_sent((i + 1) * kRecord, 0, kStart);
  ASSERT_TRUE(sampler.on_acknowledged(RateSampler::kMaxMarks * kRecord, kStart + 10ms));
  EXPECT_TRUE(sampler.idle()) << "the others were left out";
}

TEST(RateSampler, SmallPiecesShareAMark) {
  RateSampler sampler;
  sampler.on_sent(1'000, 0, kStart);
  sampler.on_sent(2'000, 0, kStart + 1ms);
  ASSERT_TRUE(sampler.on_acknowledged(1'000, kStart + 10ms));
  EXPECT_TRUE(sampler.idle());
}

}  // namespace
}  // namespace zks::session
