// SPDX-License-Identifier: MIT
#include "tunnel/session_waiters.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "../support/run.hpp"

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;
using session::ResetCode;

class SessionWaitersTest : public testing::Test {
 protected:
  struct Wait {
    explicit Wait(asio::io_context& loop) : patience(loop, 1h) {}
    asio::steady_timer patience;
    asio::cancellation_signal cancel;
    bool over = false;
    std::optional<ResetCode> why;
  };

  std::unique_ptr<Wait> begin() {
    auto wait = std::make_unique<Wait>(loop_);
    begin(*wait);
    return wait;
  }
  void begin(Wait& wait) {
    asio::co_spawn(loop_, waiters_.wait([this] { return up_; }, wait.patience),
                   asio::bind_cancellation_slot(wait.cancel.slot(),
                                                [&wait](std::exception_ptr, std::optional<ResetCode> why) {
                                                  wait.over = true;
                                                  wait.why = why;
                                                }));
    poll();
  }
  void poll() {
    loop_.restart();
    loop_.poll();
  }

  asio::io_context loop_;
  bool up_ = false;
  int began_ = 0;
  SessionWaiters waiters_{[this] { ++began_; }};
};

TEST_F(SessionWaitersTest, NobodyWaitsForWhatIsThere) {
  up_ = true;
  const auto wait = begin();
  EXPECT_TRUE(wait->over);
  EXPECT_FALSE(wait->why);
  EXPECT_EQ(began_, 0);
}

TEST_F(SessionWaitersTest, AllAreWokenByWhatCameUp) {
  const auto first = begin();
  const auto second = begin();
  EXPECT_FALSE(waiters_.empty());
  EXPECT_EQ(began_, 2);
  up_ = true;
  waiters_.wake();
  poll();
  EXPECT_TRUE(first->over && second->over);
  EXPECT_FALSE(first->why || second->why);
  EXPECT_TRUE(waiters_.empty());
}

// It waits on, and says so: the pause before the next attempt is shortened once more.
TEST_F(SessionWaitersTest, WhatIsOverAgainByThenIsWaitedForAnew) {
  const auto wait = begin();
  waiters_.wake();
  poll();
  EXPECT_FALSE(wait->over);
  EXPECT_FALSE(waiters_.empty());
  EXPECT_EQ(began_, 2);
  waiters_.close();
  poll();
}

TEST_F(SessionWaitersTest, PatienceIsThatOfAllItsWaitsTogether) {
  const auto wait = begin();
  wait->patience.expires_after(0s);  // whoever waits is woken, and has no patience left
  EXPECT_TRUE(test::run_until(loop_, [&] { return wait->over; }));
  EXPECT_EQ(wait->why, ResetCode::kTimedOut);
  wait->over = false;
  begin(*wait);
  EXPECT_TRUE(wait->over);
  EXPECT_EQ(wait->why, ResetCode::kTimedOut);
  EXPECT_TRUE(waiters_.empty());
}

TEST_F(SessionWaitersTest, OneThatIsCancelledIsForgotten) {
  const auto wait = begin();
  wait->cancel.emit(asio::cancellation_type::terminal);
  poll();
  EXPECT_TRUE(wait->over);
  EXPECT_TRUE(waiters_.empty());
  waiters_.wake();
}

TEST_F(SessionWaitersTest, OneThatIsDestroyedIsForgotten) {
  {
    asio::io_context loop;
    asio::steady_timer patience(loop, 1h);
    asio::co_spawn(loop, waiters_.wait([] { return false; }, patience),
                   [](std::exception_ptr, std::optional<ResetCode>) {});
    loop.poll();
    EXPECT_FALSE(waiters_.empty());
  }
  EXPECT_TRUE(waiters_.empty());
  waiters_.wake();
}

TEST_F(SessionWaitersTest, AfterTheEndNobodyWaits) {
  const auto before = begin();
  waiters_.close();
  poll();
  EXPECT_EQ(before->why, ResetCode::kSessionLost);
  const auto after = begin();
  EXPECT_TRUE(after->over);
  EXPECT_EQ(after->why, ResetCode::kSessionLost);
}

}  // namespace
}  // namespace zks::tunnel
