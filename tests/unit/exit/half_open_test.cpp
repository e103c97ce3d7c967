// SPDX-License-Identifier: MIT
//
// Who gives way when all slots for unproven lanes are taken: each test has who takes them, and an honest
// lane beside it.
#include "exit/half_open.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using Slot = std::shared_ptr<HalfOpen::Slot>;

class HalfOpenTest : public testing::Test {
 protected:
  // The clock goes on, so that only slots count.
  Slot knock(const std::string& relay) { return half_open.admit(relay, now += 10ms); }
  Slot dialled(const std::string& relay) {
    auto slot = knock(relay);
    if (slot) slot->dialled();
    return slot;
  }
  Slot named(const std::string& relay, std::uint8_t invite) {
    auto slot = dialled(relay);
    if (slot) slot->named({invite});
    return slot;
  }
  static std::size_t dropped(const std::vector<Slot>& slots) {
    std::size_t count = 0;
    for (const auto& slot : slots) count += slot && slot->dropped() ? 1 : 0;
    return count;
  }

  HalfOpen half_open;
  HalfOpen::TimePoint now{};
};

TEST_F(HalfOpenTest, ARelayThatNeverAnswersDialsTakesNoPlaceOfAnother) {
  std::vector<Slot> hostile;
  for (int i = 0; i < 1000; ++i) hostile.push_back(knock("hostile"));
  EXPECT_EQ(half_open.size(), HalfOpen::kMaxLanes);
  std::vector<Slot> honest;
  for (std::size_t i = 0; i < HalfOpen::kMaxLanes / 2; ++i) {
    honest.push_back(knock("honest"));
    ASSERT_TRUE(honest.back());
    for (int j = 0; j < 10; ++j) hostile.push_back(knock("hostile"));
  }
  EXPECT_EQ(dropped(honest), 0U);
  EXPECT_EQ(half_open.size(), HalfOpen::kMaxLanes);
}

TEST_F(HalfOpenTest, EachOfEightRelaysHasItsShare) {
  std::vector<Slot> hostile;
  for (int i = 0; i < 64; ++i) {
    for (const char* relay : {"a", "b", "c", "d", "e", "f", "g"}) hostile.push_back(named(relay, 1));
  }
  std::vector<Slot> honest;
  for (std::size_t i = 0; i < HalfOpen::kMaxLanes / 8; ++i) honest.push_back(named("honest", 2));
  for (const char* relay : {"a", "b", "c", "d", "e", "f", "g"}) hostile.push_back(named(relay, 1));
  for (const auto& slot : honest) EXPECT_TRUE(slot && !slot->dropped());
}

TEST_F(HalfOpenTest, OneInviteGivesWayToOthersBeyondFour) {
  std::vector<Slot> abuser;
  for (std::size_t i = 0; i < HalfOpen::kMaxLanes; ++i) abuser.push_back(named("relay", 1));
  const Slot honest = dialled("relay");
  ASSERT_TRUE(honest);
  EXPECT_TRUE(abuser.front()->dropped()) << "the oldest of the invite";
  for (int i = 0; i < 300; ++i) abuser.push_back(named("relay", 1));
  EXPECT_FALSE(honest->dropped()) << "also before it has named its invite";
  honest->named({2});
  for (int i = 0; i < 300; ++i) abuser.push_back(named("relay", 1));
  EXPECT_FALSE(honest->dropped());
}

TEST_F(HalfOpenTest, StrangersGiveWayToWhoeverNamedAnInvite) {
  std::vector<Slot> guests;
  for (std::uint8_t invite = 0; invite < 10; ++invite) guests.push_back(named("relay", invite));
  std::vector<Slot> strangers;
  for (int i = 0; i < 500; ++i) strangers.push_back(dialled("relay"));
  EXPECT_EQ(dropped(guests), 0U);
  EXPECT_TRUE(strangers.front()->dropped()) << "the oldest first";
  EXPECT_FALSE(strangers.back()->dropped());
}

TEST_F(HalfOpenTest, KnocksThatComeAllAtOnceEndNoDialOfTheirOwnRelay) {
  std::vector<Slot> burst;
  for (int i = 0; i < 200; ++i) burst.push_back(half_open.admit("relay", now));
  EXPECT_EQ(dropped(burst), 0U);
  EXPECT_TRUE(burst[HalfOpen::kMaxLanes - 1]);
  EXPECT_FALSE(burst[HalfOpen::kMaxLanes]) << "not answered";
  EXPECT_TRUE(half_open.admit("another", now)) << "of another relay they do";
}

TEST_F(HalfOpenTest, KnocksOfARelayAreCountedForItAlone) {
  std::vector<Slot> answered;
  for (int i = 0; i < 5000; ++i) {
    auto slot = half_open.admit("hostile", now);
    if (slot) slot->leave();
    if (slot) answered.push_back(std::move(slot));
  }
  EXPECT_EQ(answered.size(), static_cast<std::size_t>(HalfOpen::kKnocksAtOnce));
  EXPECT_TRUE(half_open.admit("honest", now));
  EXPECT_TRUE(half_open.admit("hostile", now + 1s));
}

TEST_F(HalfOpenTest, ALaneIsDroppedOnceAndNotAfterItLeft) {
  int drops = 0;
  auto gone = knock("hostile");
  gone->on_drop([&] { ++drops; });
  gone->leave();
  auto last = knock("hostile");
  last->on_drop([&] { ++drops; });
  std::vector<Slot> more;
  for (int i = 0; i < 100; ++i) more.push_back(knock("hostile"));
  EXPECT_EQ(half_open.size(), HalfOpen::kMaxLanes);
  const Slot honest = knock("honest");
  EXPECT_EQ(drops, 1);
  EXPECT_TRUE(last->dropped());
  EXPECT_FALSE(gone->dropped());
  last.reset();
  EXPECT_EQ(half_open.size(), HalfOpen::kMaxLanes);
}

}  // namespace
}  // namespace zks::exit
