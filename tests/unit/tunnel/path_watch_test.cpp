// SPDX-License-Identifier: MIT
//
// The relay is asked once for each pause in which no record comes, and what the path lets through is looked
// at when it had time to answer.
#include "tunnel/path_watch.hpp"

#include <gtest/gtest.h>

namespace zks::tunnel {
namespace {

using carrier::Silence;
using Next = PathWatch::Next;

// Steps until one says something.
Next step_on(PathWatch& watch) {
  for (;;) {
    const Next next = watch.step();
    if (next != Next::kWait) return next;
  }
}

TEST(PathWatch, WithoutRecordsThereIsNothingToAsk) {
  PathWatch watch;
  EXPECT_EQ(watch.step(), Next::kRest);
  EXPECT_EQ(watch.silence(), Silence::kNone);
}

TEST(PathWatch, AsksOnceForAPauseAndThenLooks) {
  PathWatch watch;
  EXPECT_TRUE(watch.wrote(100));
  EXPECT_FALSE(watch.wrote(100)) << "the timer runs";
  EXPECT_EQ(watch.silence(), Silence::kNone);
  EXPECT_EQ(step_on(watch), Next::kAsk);
  EXPECT_EQ(watch.silence(), Silence::kHeldUp) << "the answer may be on its way";
  EXPECT_EQ(step_on(watch), Next::kLook);
  EXPECT_EQ(watch.silence(), Silence::kOwed);
  EXPECT_EQ(watch.step(), Next::kRest);
  EXPECT_FALSE(watch.wrote(100)) << "it is the same pause";
  EXPECT_TRUE(watch.heard());
  EXPECT_EQ(watch.silence(), Silence::kNone);
  EXPECT_EQ(step_on(watch), Next::kAsk) << "something came, and then nothing";
}

TEST(PathWatch, RestsWhenTheRelayAnswers) {
  PathWatch watch;
  EXPECT_TRUE(watch.heard());
  EXPECT_EQ(step_on(watch), Next::kAsk);
  watch.heard_relay();
  EXPECT_EQ(watch.step(), Next::kRest) << "or each answer would be followed by a question";
  EXPECT_EQ(watch.silence(), Silence::kNone);
  EXPECT_TRUE(watch.wrote(100));
  EXPECT_EQ(step_on(watch), Next::kAsk);
}

TEST(PathWatch, WhereRecordsComeNobodyIsAsked) {
  PathWatch watch;
  EXPECT_TRUE(watch.heard());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(watch.step(), Next::kWait);
    EXPECT_FALSE(watch.heard());
  }
}

// It does not read on, then, so that it does not answer says nothing of the path.
TEST(PathWatch, ARelayMayBeHeldUpByMuch) {
  PathWatch watch;
  EXPECT_TRUE(watch.wrote(65 * 1024));
  EXPECT_EQ(step_on(watch), Next::kAsk);
  EXPECT_EQ(step_on(watch), Next::kLook);
  EXPECT_EQ(watch.silence(), Silence::kHeldUp);
}

}  // namespace
}  // namespace zks::tunnel
