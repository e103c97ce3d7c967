// SPDX-License-Identifier: MIT
#include "exit/seen_ephemerals.hpp"

#include <gtest/gtest.h>

namespace zks::exit {
namespace {

PublicKey key(std::uint8_t invite, std::uint8_t number) {
  return {invite, number};
}

TEST(SeenEphemerals, WhatCameOnceIsKnown) {
  SeenEphemerals seen;
  EXPECT_FALSE(seen.contains(key(1, 1)));
  seen.remember({1}, key(1, 1));
  EXPECT_TRUE(seen.contains(key(1, 1)));
  EXPECT_FALSE(seen.contains(key(1, 2)));
  seen.remember({1}, key(1, 1));
  EXPECT_EQ(seen.size(), 1U);
}

TEST(SeenEphemerals, WhoFillsTheMemoryForgetsHisOwn) {
  SeenEphemerals seen(10);
  for (std::uint8_t i = 0; i < 3; ++i) seen.remember({1}, key(1, i));
  for (std::uint8_t i = 0; i < 200; ++i) seen.remember({2}, key(2, i));
  EXPECT_EQ(seen.size(), 10U);
  for (std::uint8_t i = 0; i < 3; ++i) EXPECT_TRUE(seen.contains(key(1, i)));
  EXPECT_FALSE(seen.contains(key(2, 192))) << "the oldest";
  EXPECT_TRUE(seen.contains(key(2, 193)));
}

}  // namespace
}  // namespace zks::exit
