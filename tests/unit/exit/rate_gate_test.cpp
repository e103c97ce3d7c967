// SPDX-License-Identifier: MIT
//
// Bytes a second with a clock of the test's own: what passes, who is woken, and in which order.
#include "exit/rate_gate.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using RateWaiter = RateGate::Waiter;
using TimePoint = RateGate::TimePoint;

constexpr std::uint64_t kRate = 16 * 1024;  // so a piece is 1 KiB, and a burst 4 KiB
constexpr std::uint64_t kPiece = 1024;
constexpr std::uint64_t kBurst = 4096;

class RateGateTest : public testing::Test {
 protected:
  // Moves whole pieces as long as it may; how many bytes passed.
  std::uint64_t move(RateWaiter& waiter, std::uint64_t most = 1 << 30) {
    std::uint64_t moved = 0;
    while (moved < most) {
      const std::uint64_t may = std::min(gate.ask(waiter, now), most - moved);
      if (may == 0) break;
      gate.passed(waiter, may, now);
      moved += may;
    }
    return moved;
  }

  boost::asio::io_context context;
  net::Wakeup wakeups[3] = {net::Wakeup(context.get_executor()), net::Wakeup(context.get_executor()),
                            net::Wakeup(context.get_executor())};
  TimePoint now{1000s};
  int looked = 0;
  RateGate gate{[this] { ++looked; }};
};

TEST_F(RateGateTest, WithoutARateNobodyWaits) {
  RateWaiter waiter(wakeups[0]);
  EXPECT_EQ(move(waiter, 1 << 20), 1u << 20);
  EXPECT_EQ(gate.due(now), TimePoint::max());
  EXPECT_TRUE(gate.try_pass(1 << 20, now));
}

TEST_F(RateGateTest, PassesABurstAndThenTheRate) {
  gate.set_rate(kRate, now);
  RateWaiter waiter(wakeups[0]);
  EXPECT_EQ(move(waiter), kBurst + kPiece) << "the last piece is on credit";
  std::uint64_t moved = 0;
  for (const TimePoint end = now + 10s; now < end; now += 1ms) moved += move(waiter);
  EXPECT_LE(moved, 10 * kRate);
  EXPECT_GE(moved, 10 * kRate - 2 * kPiece);
}

TEST_F(RateGateTest, AnIdleGateSavesNoMoreThanABurst) {
  gate.set_rate(kRate, now);
  RateWaiter waiter(wakeups[0]);
  now += 1h;
  EXPECT_EQ(move(waiter), kBurst + kPiece);
}

TEST_F(RateGateTest, EachHasItsTurn) {
  gate.set_rate(kRate, now);
  RateWaiter first(wakeups[0]);
  RateWaiter second(wakeups[1]);
  RateWaiter third(wakeups[2]);
  move(first);
  EXPECT_EQ(gate.ask(second, now), 0u);
  EXPECT_EQ(gate.ask(third, now), 0u);
  EXPECT_EQ(gate.waiting(), 3u);
  std::uint64_t moved[3] = {};
  RateWaiter* const waiters[3] = {&third, &second, &first};  // who asks first does not come first
  for (const TimePoint end = now + 9s; now < end; now += 1ms) {
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t may = gate.ask(*waiters[i], now);
      if (may != 0) gate.passed(*waiters[i], may, now);
      moved[i] += may;
    }
  }
  for (const std::uint64_t share : moved) EXPECT_NEAR(static_cast<double>(share), 3.0 * kRate, 2.0 * kPiece);
}

TEST_F(RateGateTest, WakesOnlyTheFirst) {
  gate.set_rate(kRate, now);
  RateWaiter first(wakeups[0]);
  RateWaiter second(wakeups[1]);
  move(first);
  EXPECT_EQ(gate.ask(second, now), 0u);
  EXPECT_EQ(gate.due(now), now + 62'500us) << "a piece at that rate";
  gate.wake();
  EXPECT_EQ(gate.due(now), TimePoint::max()) << "it has been called";
  now += 63ms;
  EXPECT_EQ(gate.ask(second, now), 0u) << "not its turn";
  EXPECT_EQ(gate.ask(first, now), kPiece);
  const int before = looked;
  gate.passed(first, 10, now);
  EXPECT_GT(looked, before) << "now the second one is to be woken";
  EXPECT_EQ(gate.waiting(), 1u);
  EXPECT_EQ(gate.ask(second, now), 0u) << "the ten bytes are not paid yet";
  now += 1ms;
  EXPECT_EQ(gate.ask(second, now), kPiece);
}

TEST_F(RateGateTest, WhoLeavesWhileItIsCalledDoesNotHoldUpTheNext) {
  gate.set_rate(kRate, now);
  RateWaiter second(wakeups[1]);
  {
    RateWaiter first(wakeups[0]);
    move(first);
    EXPECT_EQ(gate.ask(second, now), 0u);
    gate.wake();
  }
  EXPECT_EQ(gate.waiting(), 1u);
  EXPECT_NE(gate.due(now), TimePoint::max());
  now += 63ms;
  EXPECT_EQ(gate.ask(second, now), kPiece);
}

TEST_F(RateGateTest, ATurnWithoutBytesIsATurn) {
  gate.set_rate(kRate, now);
  RateWaiter first(wakeups[0]);
  RateWaiter second(wakeups[1]);
  move(first);
  EXPECT_EQ(gate.ask(second, now), 0u);
  now += 63ms;
  EXPECT_NE(gate.ask(first, now), 0u);
  gate.passed(first, 0, now);
  EXPECT_EQ(gate.ask(second, now), kPiece);
}

TEST_F(RateGateTest, AnotherRateCountsAtOnce) {
  gate.set_rate(kPiece, now);
  RateWaiter waiter(wakeups[0]);
  move(waiter);
  gate.passed(waiter, 3600 * kPiece, now);
  EXPECT_EQ(gate.ask(waiter, now), 0u);
  EXPECT_GE(gate.due(now), now + 1h);
  gate.set_rate(0, now);
  EXPECT_LE(gate.due(now), now);
  EXPECT_GT(gate.ask(waiter, now), 0u);
}

TEST_F(RateGateTest, NothingPassesAClosedGate) {
  RateWaiter waiter(wakeups[0]);
  gate.set_closed(true, now);
  EXPECT_EQ(gate.ask(waiter, now), 0u);
  EXPECT_FALSE(gate.try_pass(1, now));
  EXPECT_EQ(gate.due(now), TimePoint::max());
  gate.set_closed(false, now);
  EXPECT_LE(gate.due(now), now);
  EXPECT_GT(gate.ask(waiter, now), 0u);
}

TEST_F(RateGateTest, DatagramsAreDroppedBeyondTheRate) {
  gate.set_rate(kRate, now);
  std::uint64_t passed = 0;
  for (const TimePoint end = now + 10s; now < end; now += 1ms) passed += gate.try_pass(500, now) ? 500 : 0;
  EXPECT_LE(passed, 10 * kRate + kBurst + 500);
  EXPECT_GE(passed, 10 * kRate);
}

TEST_F(RateGateTest, PlacesMayOutliveIt) {
  RateWaiter waiter(wakeups[0]);
  {
    RateGate short_lived([] {});
    short_lived.set_closed(true, now);
    EXPECT_EQ(short_lived.ask(waiter, now), 0u);
    EXPECT_TRUE(waiter.waits());
  }
  EXPECT_FALSE(waiter.waits());
}

}  // namespace
}  // namespace zks::exit
