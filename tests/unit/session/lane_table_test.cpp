// SPDX-License-Identifier: MIT
#include "session/lane_table.hpp"

#include <gtest/gtest.h>

namespace zks::session {
namespace {

LaneOptions lane(LaneNumber number, HelloMode mode = HelloMode::kNew) {
  LaneOptions options;
  options.number = number;
  options.mode = mode;
  return options;
}

LaneNumber next(LaneTable& lanes) {
  const LaneState* found = lanes.least_loaded();
  return found == nullptr ? 0 : found->options.number;
}

TEST(LaneTable, WhatIsNewGoesToTheLaneWithTheLeast) {
  LaneTable lanes;
  EXPECT_EQ(next(lanes), 0U);
  lanes.add(lane(1));
  lanes.add(lane(2));
  EXPECT_EQ(next(lanes), 2U) << "of those with as few, the newest";
  LaneNumber first = 0;
  LaneNumber second = 0;
  LaneNumber third = 0;
  lanes.bind(first, next(lanes));
  EXPECT_EQ(first, 2U);
  EXPECT_EQ(next(lanes), 1U);
  lanes.bind(second, next(lanes));
  EXPECT_EQ(next(lanes), 2U);
  lanes.bind(third, next(lanes));
  EXPECT_EQ(lanes.load(1), 1U);
  EXPECT_EQ(lanes.load(2), 2U);
  lanes.bind(first, 1);
  EXPECT_EQ(lanes.load(1), 2U);
  EXPECT_EQ(lanes.load(2), 1U);
  lanes.bind(second, 0);
  lanes.bind(second, 0);
  lanes.bind(first, 0);
  EXPECT_EQ(lanes.load(1), 0U);
  EXPECT_EQ(next(lanes), 1U);
}

TEST(LaneTable, AJoiningLaneIsChosenOnceTheExitTookIt) {
  LaneTable lanes;
  lanes.add(lane(1));
  LaneState& joining = lanes.add(lane(2, HelloMode::kJoin));
  EXPECT_EQ(next(lanes), 1U);
  joining.hello_received = true;
  EXPECT_EQ(next(lanes), 2U);
}

TEST(LaneTable, OneExchangeAtATimeOnALane) {
  LaneTable lanes;
  lanes.add(lane(1)).await_table = true;
  EXPECT_EQ(next(lanes), 1U);
  EXPECT_EQ(lanes.least_loaded_for_exchange(), nullptr);
  lanes.add(lane(2));
  EXPECT_EQ(lanes.least_loaded_for_exchange(), lanes.find(2));
}

TEST(LaneTable, WhatWasBoundToADeadLaneCountsThereUntilItMoves) {
  LaneTable lanes;
  lanes.add(lane(1));
  lanes.add(lane(2));
  LaneNumber stream = 0;
  lanes.bind(stream, 1);
  lanes.lose(1);
  EXPECT_EQ(lanes.find(1), nullptr);
  EXPECT_EQ(stream, 1U);
  EXPECT_EQ(lanes.load(1), 1U);
  EXPECT_EQ(lanes.load(2), 0U);
  lanes.bind(stream, 2);
  EXPECT_EQ(lanes.load(1), 0U);
  EXPECT_EQ(lanes.load(2), 1U);
}

TEST(LaneTable, DeadLanesCountUntilBothEndsAgreed) {
  LaneTable lanes;
  lanes.add(lane(1));
  lanes.add(lane(2));
  lanes.add(lane(3)).declared = {1};
  lanes.lose(1);
  lanes.forget_dead();
  EXPECT_EQ(lanes.count(), 3U) << "two that are alive, and one that was declared dead on one of them";
  lanes.lose(3);
  EXPECT_EQ(lanes.dead(), (std::set<LaneNumber>{1, 3})) << "the declaration may be lost with its lane";
  EXPECT_EQ(lanes.count(), 3U);
  lanes.lose(3);
  EXPECT_EQ(lanes.count(), 3U);
  lanes.forget_dead(1);
  EXPECT_EQ(lanes.dead(), std::set<LaneNumber>{3});
  lanes.clear();
  EXPECT_EQ(lanes.count(), 0U);
  EXPECT_EQ(lanes.newest(), 3U) << "numbers are not used twice";
  lanes.heard_of(7);
  lanes.heard_of(5);
  EXPECT_EQ(lanes.newest(), 7U);
}

}  // namespace
}  // namespace zks::session
