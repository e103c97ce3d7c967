// SPDX-License-Identifier: MIT
//
// What one invite may use, with a clock of the test's own, and that a change of it reaches those who wait.
#include "exit/allowance.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using Direction = tunnel::Meter::Direction;
using session::ResetCode;

Allowance::TimePoint test_now;
Allowance::TimePoint test_clock() {
  return test_now;
}

class AllowanceTest : public testing::Test {
 protected:
  AllowanceTest() { test_now = Allowance::TimePoint(1000s); }

  void set(link::Terms terms) { allowance->set_terms(Rules{}, terms); }

  boost::asio::io_context context;
  std::shared_ptr<Allowance> allowance =
      std::make_shared<Allowance>(context.get_executor(), std::make_shared<Policy>(Rules{}), &test_clock,
                                  std::make_shared<AllStreams>([]() -> std::size_t { return 1'000'000; }));
};

TEST_F(AllowanceTest, WithoutTermsEverythingPasses) {
  std::vector<Allowance::Admission> admitted;
  for (int i = 0; i < 5000; ++i) admitted.push_back(allowance->admit());
  for (const auto& one : admitted) {
    EXPECT_TRUE(one.reason.empty());
    EXPECT_EQ(one.pause, Allowance::Duration::zero());
  }
  const auto connections = allowance->used_bytes();
  EXPECT_EQ(connections, 5000 * Allowance::kConnectionBytes);
  EXPECT_TRUE(allowance->take_datagram(Direction::kUp, 1 << 20));
  EXPECT_EQ(allowance->used_bytes(), connections + (1u << 20));
  EXPECT_FALSE(allowance->used_up());
}

TEST_F(AllowanceTest, StreamsAtOnce) {
  set({.max_streams = 2});
  auto first = std::make_unique<Allowance::Admission>(allowance->admit());
  const auto second = allowance->admit();
  EXPECT_EQ(allowance->streams(), 2u);
  const auto third = allowance->admit();
  EXPECT_EQ(third.refused, ResetCode::kLimit);
  EXPECT_FALSE(third.reason.empty());
  first.reset();
  EXPECT_TRUE(allowance->admit().reason.empty());
  set({.max_streams = 1});
  EXPECT_FALSE(allowance->admit().reason.empty()) << "one is there";
}

TEST_F(AllowanceTest, OneDeviceLeavesConnectionsToOthers) {
  const auto all = std::make_shared<AllStreams>([]() -> std::size_t { return 100; });
  const auto policy = std::make_shared<Policy>(Rules{});
  const auto shared = std::make_shared<Allowance>(context.get_executor(), policy, &test_clock, all);
  const auto other = std::make_shared<Allowance>(context.get_executor(), policy, &test_clock, all);
  const tunnel::Claim heavy{{1}, {1}};
  std::vector<Allowance::Admission> admitted;
  for (int i = 0; i < 500; ++i) {
    auto one = shared->admit(heavy);
    if (one.reason.empty()) admitted.push_back(std::move(one));
  }
  EXPECT_EQ(admitted.size(), 34U) << "a third";
  const auto refused = shared->admit(heavy);
  EXPECT_EQ(refused.refused, ResetCode::kLimit);
  EXPECT_NE(refused.reason.find("share"), std::string::npos);
  for (int i = 0; i < 5; ++i) {
    admitted.push_back(shared->admit({{1}, {2}}));
    EXPECT_TRUE(admitted.back().reason.empty()) << "another device of the same link";
    admitted.push_back(other->admit({{2}, {1}}));
    EXPECT_TRUE(admitted.back().reason.empty());
  }
  admitted.clear();
  EXPECT_TRUE(shared->admit(heavy).reason.empty()) << "what is over is given back";
}

TEST_F(AllowanceTest, NewStreamsWaitTheirTurnAndAreRefusedFarBeyondTheRate) {
  set({.stream_rate = 4});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(allowance->admit().pause, Allowance::Duration::zero());
  for (int i = 1; i <= 40; ++i) EXPECT_EQ(allowance->admit().pause, i * 250ms);
  for (int i = 0; i < 100; ++i) {
    const auto refused = allowance->admit();
    EXPECT_EQ(refused.refused, ResetCode::kLimit);
    EXPECT_FALSE(refused.reason.empty());
  }
  test_now += 250ms;
  EXPECT_EQ(allowance->admit().pause, Allowance::kLongestPause) << "the refused ones cost nothing";
  test_now += 1h;
  EXPECT_EQ(allowance->admit().pause, Allowance::Duration::zero());
}

TEST_F(AllowanceTest, TheQuotaCountsBothDirectionsAndDatagrams) {
  set({.quota_bytes = 1000});
  net::Wakeup wakeup(context.get_executor());
  tunnel::Meter::Waiter waiter(wakeup);
  EXPECT_GT(allowance->ask(Direction::kUp, waiter), 0u);
  allowance->passed(Direction::kUp, waiter, 300);
  EXPECT_GT(allowance->ask(Direction::kDown, waiter), 0u);
  allowance->passed(Direction::kDown, waiter, 300);
  EXPECT_TRUE(allowance->take_datagram(Direction::kUp, 399 - Allowance::kDatagramBytes));
  EXPECT_TRUE(allowance->take_datagram(Direction::kUp, 1));
  EXPECT_FALSE(allowance->used_up());
  EXPECT_TRUE(allowance->take_datagram(Direction::kDown, 1));
  EXPECT_TRUE(allowance->used_up());
  EXPECT_FALSE(allowance->take_datagram(Direction::kDown, 1));
  EXPECT_EQ(allowance->ask(Direction::kUp, waiter), 0u);
  const auto refused = allowance->admit();
  EXPECT_EQ(refused.refused, ResetCode::kQuotaUsedUp);
  EXPECT_FALSE(refused.reason.empty());

  set({.quota_bytes = 2000});
  EXPECT_GT(allowance->ask(Direction::kUp, waiter), 0u);
  allowance->passed(Direction::kUp, waiter, 0);
  EXPECT_TRUE(allowance->admit().reason.empty());
}

TEST_F(AllowanceTest, WhatIsWrittenDownIsCountedOnce) {
  set({.quota_bytes = 1000});
  EXPECT_TRUE(allowance->take_datagram(Direction::kUp, 100));
  EXPECT_EQ(allowance->unsaved_bytes(), 100u);
  EXPECT_TRUE(allowance->take_datagram(Direction::kUp, 110));
  allowance->note_saved(200);
  allowance->set_saved(500);  // another exit has carried 400
  EXPECT_EQ(allowance->unsaved_bytes(), 10u);
  EXPECT_EQ(allowance->used_bytes(), 510u);
  allowance->set_saved(990);
  EXPECT_TRUE(allowance->used_up());
  allowance->set_saved(0);  // limit --reset-used
  EXPECT_FALSE(allowance->used_up());
  EXPECT_TRUE(allowance->take_datagram(Direction::kUp, 1));
}

TEST_F(AllowanceTest, WhatCarriesNothingIsNotForNothing) {
  set({.rate_bytes = 1024, .quota_bytes = 1024 * 1024});
  int datagrams = 0;
  while (datagrams < 10'000 && allowance->take_datagram(Direction::kDown, 0)) ++datagrams;
  EXPECT_LE(datagrams, 17) << "a burst of a kilobyte, and one on credit";
  int connections = 0;
  while (connections < 10'000 && allowance->admit().reason.empty()) ++connections;
  EXPECT_LE(connections, 16 + 160) << "a burst, and ten seconds' worth that wait for their turn";
  EXPECT_GE(connections, 160);
  const auto used = allowance->used_bytes();
  EXPECT_EQ(used, datagrams * Allowance::kDatagramBytes + connections * Allowance::kConnectionBytes)
      << "what was refused cost nothing";
  test_now += 1s;
  EXPECT_TRUE(allowance->admit().reason.empty());
  EXPECT_TRUE(allowance->take_datagram(Direction::kDown, 0));
}

TEST_F(AllowanceTest, TheDirectionsHaveARateEach) {
  set({.rate_bytes = 16 * 1024});
  while (allowance->take_datagram(Direction::kUp, 1000)) {
  }
  EXPECT_TRUE(allowance->take_datagram(Direction::kDown, 1000));
}

TEST_F(AllowanceTest, ItsPolicyFollowsItsRules) {
  const auto policy = allowance->policy();
  const auto inside = *parse_ip_address("10.1.2.3");
  EXPECT_FALSE(policy->judge("", inside, 80).allowed);
  allowance->set_terms(Rules{{parse_rule("10.0.0.0/8").value()}, {}}, {});
  EXPECT_TRUE(policy->judge("", inside, 80).allowed);
}

TEST_F(AllowanceTest, TheLogIsNotFilled) {
  int lines = 0;
  for (int i = 0; i < 100'000; ++i) lines += allowance->may_log() ? 1 : 0;
  EXPECT_EQ(lines, 1000);
  test_now += 1s;
  EXPECT_TRUE(allowance->may_log());
}

TEST_F(AllowanceTest, WhoWaitsIsWokenWhenItsTimeHasCome) {
  // With the real clock: the timer is part of what is tested.
  allowance = std::make_shared<Allowance>(context.get_executor(), std::make_shared<Policy>(Rules{}));
  set({.rate_bytes = 64 * 1024});
  net::Wakeup wakeup(context.get_executor());
  tunnel::Meter::Waiter waiter(wakeup);
  while (const auto may = allowance->ask(Direction::kUp, waiter))
    allowance->passed(Direction::kUp, waiter, may);
  EXPECT_TRUE(waiter.waits());
  bool woken = false;
  boost::asio::co_spawn(context, wakeup.wait(), [&woken](std::exception_ptr) { woken = true; });
  while (!woken && context.run_one() > 0) {
  }
  EXPECT_TRUE(woken);
  set({});
  EXPECT_GT(allowance->ask(Direction::kUp, waiter), 0u);
}

}  // namespace
}  // namespace zks::exit
