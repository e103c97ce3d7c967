// SPDX-License-Identifier: MIT
#include "exit/shares.hpp"

#include <gtest/gtest.h>

namespace zks::exit {
namespace {

Shares<char> shares(std::string_view owners) {
  Shares<char> out;
  for (const char owner : owners) out.add(owner);
  return out;
}

TEST(Shares, WhoWouldHoldMostGivesWay) {
  EXPECT_EQ(shares("").heaviest('a'), 'a');
  EXPECT_EQ(shares("bb").heaviest('a'), 'b');
  EXPECT_EQ(shares("bbbccaa").heaviest('c'), 'c') << "c would hold as many as b";
  EXPECT_EQ(shares("bbbbccaa").heaviest('c'), 'b');
}

TEST(Shares, WhatIsGivenBackIsForgotten) {
  auto held = shares("aab");
  held.remove('a');
  held.remove('a');
  EXPECT_EQ(held.of('a'), 0U);
  EXPECT_EQ(held.of('b'), 1U);
  EXPECT_EQ(held.total(), 1U);
}

TEST(Shares, OneOwnerHoldsAtMostHalfAndANewcomerFindsPlaces) {
  Shares<int> held;
  while (held.leaves_enough(0, 100)) held.add(0);
  EXPECT_EQ(held.of(0), 50U);
  for (int owner = 1; owner < 4; ++owner) {
    while (held.leaves_enough(owner, 100)) held.add(owner);
    EXPECT_GE(held.of(owner), 6U) << "half of what the others had left";
    EXPECT_GT(100 - held.total(), 0U);
  }
  EXPECT_TRUE(held.leaves_enough(9, 100));
}

TEST(Shares, TheLastPlaceIsForWhoHasNone) {
  EXPECT_TRUE(shares("aaa").leaves_enough('b', 4));
  EXPECT_FALSE(shares("aaa").leaves_enough('a', 4));
  EXPECT_FALSE(shares("aaab").leaves_enough('c', 4)) << "none is left";
}

}  // namespace
}  // namespace zks::exit
