// SPDX-License-Identifier: MIT
#include "net/wake_watch.hpp"

#include <ctime>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::net {
namespace {

using namespace std::chrono_literals;

// Sets the wall clock to what it says already; the kernel tells that as it tells a sleep.
bool set_clock() {
  timespec now{};
  return ::clock_gettime(CLOCK_REALTIME, &now) == 0 && ::clock_settime(CLOCK_REALTIME, &now) == 0;
}

TEST(WakeWatch, TellsEachTimeAndNotWithoutReason) {
  boost::asio::io_context loop;
  int wakes = 0;
  const auto watch = WakeWatch::start(loop.get_executor(), [&] {
    ++wakes;
    loop.stop();
  });
  ASSERT_TRUE(watch);
  loop.poll();
  EXPECT_EQ(wakes, 0);
  for (int expected = 1; expected <= 2; ++expected) {
    if (!set_clock()) GTEST_SKIP() << "only root may set the clock, which is how the kernel is made to tell";
    loop.restart();
    loop.run_for(10s);
    EXPECT_EQ(wakes, expected);
  }
}

TEST(WakeWatch, NothingIsToldAfterItsEnd) {
  boost::asio::io_context loop;
  int wakes = 0;
  auto watch = WakeWatch::start(loop.get_executor(), [&] { ++wakes; });
  ASSERT_TRUE(watch);
  watch->reset();
  set_clock();
  loop.run_for(50ms);
  EXPECT_EQ(wakes, 0);
}

}  // namespace
}  // namespace zks::net
