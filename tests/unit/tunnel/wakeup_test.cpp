// SPDX-License-Identifier: MIT
#include "tunnel/wakeup.hpp"

#include <gtest/gtest.h>

#include "../carrier/run.hpp"
#include "carrier/memory.hpp"
#include "tunnel/backoff.hpp"
#include "tunnel/deadline.hpp"

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;
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
  zks::test::asio::co_spawn(io, wait_times(&wakeup, 2, &woken), [](std::exception_ptr failure) {
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

asio::awaitable<void> read_until_closed(carrier::Carrier* carrier, ErrorKind* kind) {
  carrier::Buffer buffer;
  const auto type = co_await carrier->read(buffer);
  if (!type) *kind = type.error().kind;
}

asio::awaitable<void> read_with_deadline(carrier::Carrier* carrier, ErrorKind* kind, bool* expired) {
  Deadline deadline(*carrier, 1ms);
  co_await read_until_closed(carrier, kind);
  *expired = deadline.expired();
}

TEST(DeadlineTest, AbortsTheCarrierOfASilentPeer) {
  asio::io_context io;
  const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
  ErrorKind kind{};
  bool expired = false;
  run(io, read_with_deadline(pair.first.get(), &kind, &expired));
  EXPECT_EQ(kind, ErrorKind::kClosed);
  EXPECT_TRUE(expired);
}

asio::awaitable<void> write_one(carrier::Carrier* carrier, bool* written) {
  const Bytes message = {1};
  const auto done = co_await carrier->write(carrier::MessageType::kBinary, message);
  *written = done.has_value();
}

TEST(DeadlineTest, DoesNothingOnceItIsGone) {
  asio::io_context io;
  const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
  {
    Deadline deadline(*pair.first, 0ms);
    EXPECT_FALSE(deadline.expired());
  }
  io.run();  // the timer's handler, whatever it says
  bool written = false;
  run(io, write_one(pair.first.get(), &written));
  EXPECT_TRUE(written);
}

TEST(Backoff, StaysBetweenAFifthOfASecondAndTheLongest) {
  for (int failures = 0; failures < 100; ++failures) {
    const auto pause = jittered_pause(failures, 15'000ms);
    EXPECT_GE(pause, 200ms);
    EXPECT_LE(pause, 15'000ms);
  }
  for (int i = 0; i < 100; ++i) EXPECT_LE(jittered_pause(1, 15'000ms), 400ms);
  EXPECT_EQ(jittered_pause(50, 0ms), 200ms);
}

// A lane that is welcomed and breaks at once, over and over, is tried as seldom as one that is never made.
TEST(Backoff, ASuccessThatEndsAtOnceIsNone) {
  Backoff backoff;
  auto now = std::chrono::steady_clock::time_point();
  for (int i = 1; i <= 10; ++i) {
    backoff.began(now);
    now += Backoff::kLived - 1ms;
    backoff.ended(now);
    EXPECT_EQ(backoff.failures(), i);
  }
  backoff.failed();
  EXPECT_EQ(backoff.failures(), 11);
  backoff.began(now);
  now += Backoff::kLived;
  EXPECT_EQ(backoff.failures(), 11) << "it has to live first";
  backoff.ended(now);
  EXPECT_EQ(backoff.failures(), 0);
  for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.pause(15'000ms), 400ms);
}

TEST(Backoff, WhatEndsWithoutHavingBegunAndWhatFailedSinceCount) {
  Backoff backoff;
  const auto now = std::chrono::steady_clock::time_point();
  backoff.ended(now);
  EXPECT_EQ(backoff.failures(), 1);
  backoff.began(now);
  backoff.failed();
  backoff.ended(now + 1h);
  EXPECT_EQ(backoff.failures(), 3);
  for (int i = 0; i < 100; ++i) backoff.failed();
  EXPECT_LE(backoff.pause(15'000ms), 15'000ms);
  backoff.reset();
  EXPECT_EQ(backoff.failures(), 0);
}

TEST(Backoff, IsSpreadOut) {
  auto least = 15'000ms;
  auto most = 0ms;
  for (int i = 0; i < 1000; ++i) {
    const auto pause = jittered_pause(20, 15'000ms);
    least = std::min(least, pause);
    most = std::max(most, pause);
  }
  EXPECT_LT(least, 3'000ms);  // misses with a chance of 10^-90
  EXPECT_GT(most, 12'000ms);
}

}  // namespace
}  // namespace zks::tunnel
