// SPDX-License-Identifier: MIT
#include "net/wakeup.hpp"

#include <gtest/gtest.h>

#include "../support/run.hpp"

namespace zks::net {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using zks::test::run;

asio::awaitable<void> wait_times(Wakeup* wakeup, int times, int* woken) {
  for (int i = 0; i < times; ++i) {
    co_await wakeup->wait();
    ++*woken;
  }
}

asio::awaitable<void> notify_twice(Wakeup* wakeup) {
  wakeup->notify();
  wakeup->notify();
  co_return;
}

TEST(Wakeup, ANotificationBeforeTheWaitIsKept) {
  asio::io_context io;
  Wakeup wakeup(io.get_executor());
  wakeup.notify();
  int woken = 0;
  run(io, wait_times(&wakeup, 1, &woken));
  EXPECT_EQ(woken, 1);
}

TEST(Wakeup, ASleeperIsWoken) {
  asio::io_context io;
  Wakeup wakeup(io.get_executor());
  int woken = 0;
  run(io, wait_times(&wakeup, 1, &woken), notify_twice(&wakeup));
  EXPECT_EQ(woken, 1);
}

TEST(Wakeup, NotificationsWithoutAWaitBetweenThemAreOne) {
  asio::io_context io;
  Wakeup wakeup(io.get_executor());
  int woken = 0;
  asio::co_spawn(io, wait_times(&wakeup, 2, &woken), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  wakeup.notify();
  wakeup.notify();
  io.poll();
  EXPECT_EQ(woken, 1);
  wakeup.notify();
  io.poll();
  EXPECT_EQ(woken, 2);
}

}  // namespace
}  // namespace zks::net
