// SPDX-License-Identifier: MIT
//
// The relay's counters: sums over loops, and codes that peers make up.
#include "relay/status.hpp"

#include <gtest/gtest.h>

namespace zks::relay {
namespace {

TEST(RelayCountersTest, AreSummedOverLoops) {
  Counters one;
  Counters two;
  one.forwarded[Counters::kToExit].count(100);
  two.forwarded[Counters::kToExit].count(11);
  two.forwarded[Counters::kToClient].count(1);
  two.pairs.add();
  Status status;
  status.add(one);
  status.add(two);
  EXPECT_EQ(status.forwarded[Counters::kToExit].bytes, 111U);
  EXPECT_EQ(status.forwarded[Counters::kToExit].messages, 2U);
  EXPECT_EQ(status.forwarded[Counters::kToClient].bytes, 1U);
  EXPECT_EQ(status.pairs_joined, 1U);
}

TEST(RelayCountersTest, CodesThatAreNotKnownShareAPlace) {
  Counters counters;
  for (std::uint32_t code = 0; code <= 0xffff; ++code) {
    counters.count_close(static_cast<std::uint16_t>(code), false);
  }
  counters.count_close(4413, true);
  counters.count_answer(429);
  counters.count_answer(999);
  Status status;
  status.add(counters);
  for (std::size_t i = 0; i < kCountedCodes.size(); ++i) EXPECT_EQ(status.closes[0][i], 1U);
  EXPECT_EQ(status.closes[0].back(), 0x10000 - kCountedCodes.size());
  EXPECT_EQ(status.closes[1][kCountedCodes.size() - 1], 1U);
  EXPECT_EQ(status.answers.back(), 1U);
}

}  // namespace
}  // namespace zks::relay
