// SPDX-License-Identifier: MIT
#include "session/max_filter.hpp"

#include <gtest/gtest.h>

namespace zks::session {
namespace {

TEST(MaxFilter, IsZeroBeforeTheFirstSample) {
  EXPECT_EQ(MaxFilter<3>().max(), 0);
}

TEST(MaxFilter, TheGreatestOfTheLastRoundsCounts) {
  MaxFilter<3> filter;
  filter.update(5);
  filter.update(9);
  filter.update(7);
  EXPECT_EQ(filter.max(), 9);
  filter.next_round();
  filter.update(4);
  filter.next_round();
  filter.update(2);
  EXPECT_EQ(filter.max(), 9) << "three rounds, and it is of the first";
  filter.next_round();
  EXPECT_EQ(filter.max(), 4);
  filter.next_round();
  EXPECT_EQ(filter.max(), 2);
  filter.next_round();
  EXPECT_EQ(filter.max(), 0) << "rounds without a sample count too";
}

TEST(MaxFilter, EarlierRoundsCanBeForgotten) {
  MaxFilter<3> filter;
  filter.update(9);
  filter.next_round();
  filter.update(4);
  filter.forget_earlier_rounds();
  EXPECT_EQ(filter.max(), 4) << "this round's stays";
  filter.next_round();
  filter.next_round();
  EXPECT_EQ(filter.max(), 4);
  filter.next_round();
  EXPECT_EQ(filter.max(), 0);
}

}  // namespace
}  // namespace zks::session
