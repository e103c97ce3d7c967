// SPDX-License-Identifier: MIT
#include "tunnel/lane_set.hpp"

#include <gtest/gtest.h>

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;
using Task = LaneSet::Task;
using Loss = LaneSet::Loss;

const Error kCut = make_error(ErrorKind::kNetwork, "cut");

class LaneSetTest : public testing::Test {
 protected:
  LaneSet::Number add() {
    const auto lane = lanes_.attach();
    lanes_.welcomed(lane, now_);
    return lane;
  }
  Task task() const { return lanes_.task(session_, now_); }
  LaneSet::TimePoint due() const { return lanes_.due(session_); }
  // Until it says itself that there is something to do.
  void wait() {
    ASSERT_GT(due(), now_);
    ASSERT_LT(due(), LaneSet::TimePoint::max());
    now_ = due();
  }

  LaneSet::TimePoint now_{1h};
  LaneSet::Session session_{.silent = false, .most = 16};
  LaneSet lanes_{{.wanted = 2, .longest_pause = 15s, .renew_after = 1h}};
};

TEST_F(LaneSetTest, ALaneServesFromItsWelcomeOn) {
  const auto lane = lanes_.attach();
  EXPECT_TRUE(lanes_.attaching(lane));
  EXPECT_TRUE(lanes_.empty());
  lanes_.welcomed(lane, now_);
  EXPECT_FALSE(lanes_.attaching());
  EXPECT_TRUE(lanes_.serves(lane));
  EXPECT_EQ(lanes_.numbers(), std::vector{lane});
}

TEST_F(LaneSetTest, NumbersGoUpWithinASession) {
  EXPECT_EQ(add(), 1U);
  EXPECT_EQ(lanes_.attach(), 2U);
  EXPECT_EQ(lanes_.newest(), 2U);
  lanes_.session_over(kCut);
  lanes_.begin_session();
  EXPECT_EQ(lanes_.attach(), 1U);
}

TEST_F(LaneSetTest, OneThatIsLostBeforeItsWelcomeNeverServed) {
  const auto lane = lanes_.attach();
  EXPECT_EQ(lanes_.lost(lane, kCut, now_), Loss::kNeverServed);
  EXPECT_FALSE(lanes_.attaching());
  EXPECT_EQ(lanes_.why_over().text, "cut");
  EXPECT_GT(lanes_.since_lost(now_), 30min);  // that is asked of lanes that served
}

// The other one is lost while it waits for its WELCOME: that says nothing of it.
TEST_F(LaneSetTest, WhyTheNewestIsOverIsItsOwnReason) {
  const auto old = add();
  const auto fresh = lanes_.attach();
  EXPECT_EQ(lanes_.lost(fresh, make_error(ErrorKind::kRefused, "refused"), now_), Loss::kNeverServed);
  EXPECT_EQ(lanes_.lost(old, kCut, now_), Loss::kLast);
  EXPECT_EQ(lanes_.why_over().text, "refused");
}

TEST_F(LaneSetTest, TheLastThatIsLostIsToldFromOthers) {
  const auto first = add();
  const auto second = add();
  EXPECT_EQ(lanes_.lost(first, kCut, now_), Loss::kOthersServe);
  EXPECT_GT(lanes_.since_lost(now_), 30min);
  EXPECT_EQ(lanes_.lost(second, kCut, now_), Loss::kLast);
  EXPECT_EQ(lanes_.since_lost(now_ + 3s), 3s);
  EXPECT_EQ(lanes_.lost(second, kCut, now_), Loss::kNeverServed);  // it is known no more
}

TEST_F(LaneSetTest, TheEndOfTheSessionIsThatOfAll) {
  (void)add();
  (void)lanes_.attach();
  lanes_.session_over(kCut);
  EXPECT_TRUE(lanes_.empty());
  EXPECT_FALSE(lanes_.attaching());
  EXPECT_EQ(lanes_.why_over().text, "cut");
}

TEST_F(LaneSetTest, AnotherJoinsUntilThereAreAsManyAsWanted) {
  (void)add();
  EXPECT_EQ(task(), Task::kJoin);
  (void)add();
  lanes_.joined(true, now_);
  EXPECT_EQ(task(), Task::kNone);
  EXPECT_GT(due(), now_ + 50min);  // a renewal
}

TEST_F(LaneSetTest, NoMoreJoinThanTheExitTakes) {
  session_.most = 1;
  (void)add();
  EXPECT_EQ(task(), Task::kNone);
}

TEST_F(LaneSetTest, AfterAFailureTheNextJoinsLaterAndLater) {
  (void)add();
  lanes_.joined(false, now_);
  EXPECT_EQ(task(), Task::kNone);
  const auto first = due() - now_;
  EXPECT_LE(first, 400ms);
  auto longest = first;
  for (int i = 0; i < 12; ++i) {
    wait();
    EXPECT_EQ(task(), Task::kJoin);
    lanes_.joined(false, now_);
    longest = std::max(longest, due() - now_);
  }
  EXPECT_GT(longest, 400ms);
  EXPECT_LE(longest, 15s);
  lanes_.network_changed();  // what failed may work now
  EXPECT_EQ(task(), Task::kJoin);
}

// One lane of several that is lost as soon as it is made, again and again.
TEST_F(LaneSetTest, ALaneThatDoesNotLastIsNotReplacedAtOnce) {
  (void)add();
  const auto since = now_;
  int made = 0;
  while (now_ < since + 60s) {
    ASSERT_EQ(task(), Task::kJoin);
    ++made;
    const auto lane = add();
    lanes_.joined(true, now_);
    EXPECT_EQ(lanes_.lost(lane, kCut, now_), Loss::kOthersServe);
    wait();
  }
  EXPECT_LT(made, 60);
}

TEST_F(LaneSetTest, AFullExitIsLookedAtAgain) {
  (void)add();
  lanes_.join_later(now_);
  EXPECT_EQ(task(), Task::kNone);
  EXPECT_EQ(due(), now_ + LaneSet::kLookAgain);
  wait();
  EXPECT_EQ(task(), Task::kJoin);
}

TEST_F(LaneSetTest, AnOldLaneIsRenewed) {
  session_.most = 1;
  const auto lane = add();
  EXPECT_GE(due(), now_ + 54min);  // not with all the others that came with it
  EXPECT_LE(due(), now_ + 60min);
  wait();
  EXPECT_EQ(task(), Task::kRenew);
  EXPECT_EQ(lanes_.to_renew(now_), lane);
  lanes_.not_renewed(lane, now_);
  EXPECT_EQ(task(), Task::kNone);
  EXPECT_EQ(due(), now_ + LaneSet::kRenewAgain);
  lanes_.renew_now(lane);
  EXPECT_EQ(task(), Task::kRenew);
}

// The session still counts its bytes.
TEST_F(LaneSetTest, OneThatIsGoneIsNotRenewed) {
  const auto first = add();
  (void)add();
  lanes_.retire(first);
  lanes_.renew_now(first);
  lanes_.not_renewed(first, now_);
  EXPECT_FALSE(lanes_.to_renew(now_));
  EXPECT_FALSE(lanes_.serves(first));
}

TEST_F(LaneSetTest, SilenceIsTheMostUrgent) {
  lanes_.renew_now(add());
  session_.silent = true;
  EXPECT_EQ(task(), Task::kRace);
  lanes_.race_later(now_);
  EXPECT_EQ(task(), Task::kRenew);
}

TEST_F(LaneSetTest, AfterARaceForNothingTheNextComesLaterAndLater) {
  session_.most = 1;
  (void)add();
  session_.silent = true;
  auto longest = 0ns;
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(task(), Task::kRace);
    lanes_.raced(false, now_);
    longest = std::max<std::chrono::nanoseconds>(longest, due() - now_);
    wait();
  }
  EXPECT_GT(longest, 400ms);
  lanes_.raced(true, now_);
  EXPECT_LE(due() - now_, 400ms);
}

TEST_F(LaneSetTest, ARaceIsWonAgainstThoseThatAreSilentStillOrDied) {
  const auto first = add();
  const auto second = add();
  const auto fresh = add();
  EXPECT_TRUE(lanes_.has_won(fresh, true));
  EXPECT_FALSE(lanes_.has_won(fresh, false));  // it is one too many
  (void)lanes_.lost(first, kCut, now_);
  EXPECT_TRUE(lanes_.has_won(fresh, false));
  (void)lanes_.lost(fresh, kCut, now_);
  EXPECT_FALSE(lanes_.has_won(fresh, true));  // or none would be left
  EXPECT_TRUE(lanes_.serves(second));
}

}  // namespace
}  // namespace zks::tunnel
