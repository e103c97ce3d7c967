// SPDX-License-Identifier: MIT
#include "link/way.hpp"

#include <gtest/gtest.h>

#include "link/scenarios.hpp"

namespace zks::bench {
namespace {

using namespace std::chrono_literals;

const TimePoint kBegin{1h};

Packet packet(std::size_t size, std::uint8_t first = 0) {
  Packet out(size);
  out[0] = first;
  return out;
}

TEST(Way, APacketTakesItsTransmissionAndTheDelay) {
  Way way({.rate_bit_s = 1e6, .delay = 10ms, .loss = 0, .queue_bytes = 10'000}, 1);
  EXPECT_FALSE(way.next_due());
  way.arrive(packet(1250), kBegin);  // 10 ms at 1 Mbit/s
  EXPECT_EQ(way.next_due(), kBegin + 20ms);
}

TEST(Way, PacketsFollowEachOtherAtTheRate) {
  Way way({.rate_bit_s = 1e6, .delay = 5ms, .loss = 0, .queue_bytes = 10'000}, 1);
  for (std::uint8_t i = 0; i < 3; ++i) way.arrive(packet(1250, i), kBegin);
  for (std::uint8_t i = 0; i < 3; ++i) {
    EXPECT_EQ(way.next_due(), kBegin + 5ms + (i + 1) * 10ms);
    EXPECT_EQ(way.take()[0], i);
  }
  // The transmitter has been idle since, and owes nothing for it.
  way.arrive(packet(1250), kBegin + 1s);
  EXPECT_EQ(way.next_due(), kBegin + 1s + 15ms);
}

TEST(Way, TheQueueDropsWhatDoesNotFitAndDrains) {
  Way way({.rate_bit_s = 1e6, .delay = 0ms, .loss = 0, .queue_bytes = 2'500}, 1);
  for (int i = 0; i < 3; ++i) way.arrive(packet(1250), kBegin);
  EXPECT_EQ(way.counters().overflowed, 1u);
  EXPECT_EQ(way.queued_bytes(kBegin), 2'500u);
  EXPECT_EQ(way.queued_bytes(kBegin + 10ms), 1'250u);
  way.arrive(packet(1250), kBegin + 10ms);
  EXPECT_EQ(way.counters().overflowed, 1u);
  EXPECT_EQ(way.queued_bytes(kBegin + 1s), 0u);
}

TEST(Way, LossIsTheShareAskedForAndTheSameForASeed) {
  std::uint64_t lost[2];
  for (auto& count : lost) {
    Way way({.rate_bit_s = 1e9, .delay = 0ms, .loss = 0.02, .queue_bytes = 10'000}, 7);
    for (int i = 0; i < 100'000; ++i) way.arrive(packet(100), kBegin + i * 1us);
    count = way.counters().lost;
  }
  EXPECT_EQ(lost[0], lost[1]);
  EXPECT_NEAR(static_cast<double>(lost[0]), 2'000, 200);  // more than four standard deviations
}

TEST(Way, WhatIsLostHasTakenItsTime) {
  Way way({.rate_bit_s = 1e6, .delay = 0ms, .loss = 1, .queue_bytes = 10'000}, 1);
  way.arrive(packet(1250), kBegin);
  EXPECT_FALSE(way.next_due());
  EXPECT_EQ(way.counters().lost, 1u);
  EXPECT_EQ(way.queued_bytes(kBegin), 1'250u);
}

TEST(Scenarios, EachQueueHoldsAtLeastABurst) {
  for (const auto& [name, link] : scenarios()) {
    for (const WayOptions& way : {link.up, link.down}) {
      EXPECT_GE(way.queue_bytes, 64u * 1024) << name;
      EXPECT_EQ(way.delay, link.up.delay) << name;
    }
  }
}

}  // namespace
}  // namespace zks::bench
