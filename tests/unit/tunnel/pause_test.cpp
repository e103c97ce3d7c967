// SPDX-License-Identifier: MIT
#include "tunnel/pause.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class PauseTest : public testing::Test {
 protected:
  // Begins a wait; over_ says when it ended.
  void begin(std::chrono::milliseconds duration) {
    boost::asio::co_spawn(loop_, pause_.wait(duration),
                          [this](const std::exception_ptr&) { over_ = Clock::now(); });
    loop_.restart();
    loop_.poll();
  }
  void run_to_the_end() {
    loop_.restart();
    loop_.run();
  }

  boost::asio::io_context loop_;
  Pause pause_{loop_.get_executor()};
  std::optional<Clock::time_point> over_;
};

TEST_F(PauseTest, IsAsLongAsItWasSaid) {
  const auto began = Clock::now();
  begin(50ms);
  EXPECT_FALSE(over_);
  run_to_the_end();
  EXPECT_GE(*over_ - began, 50ms);
}

TEST_F(PauseTest, OneWhoWaitsMakesItShorterAndNotOver) {
  const auto began = Clock::now();
  begin(1h);
  pause_.shorten_to(50ms);
  run_to_the_end();
  EXPECT_GE(*over_ - began, 50ms);
}

TEST_F(PauseTest, NobodyMakesItLonger) {
  begin(50ms);
  pause_.shorten_to(1h);
  run_to_the_end();
  EXPECT_TRUE(over_);
}

TEST_F(PauseTest, IsEnded) {
  begin(1h);
  pause_.end();
  run_to_the_end();
  EXPECT_TRUE(over_);
}

TEST_F(PauseTest, TheNextOneIsNotShortenedByWhatWasSaidBefore) {
  pause_.shorten_to(0ms);
  pause_.end();
  begin(1h);
  EXPECT_FALSE(over_);
  pause_.end();
  run_to_the_end();
  EXPECT_TRUE(over_);
}

}  // namespace
}  // namespace zks::tunnel
