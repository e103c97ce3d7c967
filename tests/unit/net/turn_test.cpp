// SPDX-License-Identifier: MIT
#include "net/turn.hpp"

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::net {
namespace {

class TurnTest : public testing::Test {
 protected:
  auto note(const std::string& what) {
    return [this, what] { order_.push_back(what); };
  }
  void after(const std::string& what) { Turn::after(io_.get_executor(), note(what)); }
  void post(const std::string& what) { boost::asio::post(io_, note(what)); }

  boost::asio::io_context io_;
  std::vector<std::string> order_;
};

using Order = std::vector<std::string>;

TEST_F(TurnTest, StepsComeAfterTheirHandlerAndBeforeOthers) {
  boost::asio::post(io_, [this] {
    Turn::run([this] {
      post("other");
      after("first step");
      after("second step");
      order_.emplace_back("handler");
    });
  });
  io_.run();
  EXPECT_EQ(order_, (Order{"handler", "first step", "second step", "other"}));
}

TEST_F(TurnTest, AStepOfAStepDoesNotRunWithinIt) {
  Turn::run([this] {
    Turn::after(io_.get_executor(), [this] {
      Turn::run([this] { after("inner"); });
      order_.emplace_back("outer");
    });
  });
  EXPECT_EQ(order_, (Order{"outer", "inner"}));
}

TEST_F(TurnTest, WithoutATurnItIsPosted) {
  after("posted");
  EXPECT_EQ(order_, Order{});
  io_.run();
  EXPECT_EQ(order_, Order{"posted"});
}

// A connection whose bytes never end lets the others have their turn.
TEST_F(TurnTest, AfterItsStepsTheRestIsPosted) {
  std::size_t runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    if (runs < 100) Turn::after(io_.get_executor(), again);
  };
  Turn::run(again);
  EXPECT_EQ(runs, 1 + Turn::kMostSteps);
  EXPECT_EQ(io_.poll_one(), 1U);
  EXPECT_EQ(runs, 2 + Turn::kMostSteps);  // what was posted begins no turn by itself
  io_.poll();
  EXPECT_EQ(runs, 100U);
}

TEST_F(TurnTest, WhatThrowsLeavesTheRestToTheLoop) {
  EXPECT_THROW(Turn::run([this] {
                 after("left");
                 throw std::runtime_error("a handler");
               }),
               std::runtime_error);
  EXPECT_EQ(order_, Order{});
  io_.run();
  EXPECT_EQ(order_, Order{"left"});
  after("posted");  // the turn is over
  EXPECT_EQ(order_, Order{"left"});
}

}  // namespace
}  // namespace zks::net
