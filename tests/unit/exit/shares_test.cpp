// SPDX-License-Identifier: MIT
#include "exit/shares.hpp"

#include <gtest/gtest.h>

#include "exit/guest_shares.hpp"

namespace zks::exit {
namespace {

Shares<char> shares(std::string_view owners) {
  Shares<char> out;
  for (const char owner : owners) out.add(owner);
  return out;
}

TEST(Shares, WhoWouldHoldMostGivesWay) {
  EXPECT_EQ(shares("").heaviest('a'), 'a');
  EXPECT_EQ(shares("bb").heaviest('a'), 'b');
  EXPECT_EQ(shares("bbbccaa").heaviest('c'), 'c') << "c would hold as many as b";
  EXPECT_EQ(shares("bbbbccaa").heaviest('c'), 'b');
}

TEST(Shares, WhatIsGivenBackIsForgotten) {
  auto held = shares("aab");
  held.remove('a');
  held.remove('a');
  EXPECT_EQ(held.of('a'), 0U);
  EXPECT_EQ(held.of('b'), 1U);
  EXPECT_EQ(held.total(), 1U);
}

tunnel::Claim guest(std::uint8_t invite, std::uint8_t device) {
  return {{invite}, {device}};
}

std::size_t fill(GuestShares& shares, const tunnel::Claim& guest, std::size_t places) {
  while (shares.leave_enough(guest, places)) shares.add(guest);
  return shares.of(guest);
}

TEST(GuestShares, ADeviceAloneHasAThirdAndTheOthersOfItsInviteStillSome) {
  GuestShares held;
  EXPECT_EQ(fill(held, guest(1, 1), 999), 333U);
  EXPECT_EQ(fill(held, guest(1, 2), 999), 111U);
  EXPECT_TRUE(held.leave_enough(guest(1, 3), 999));
}

TEST(GuestShares, AnInviteOfManyDevicesHasHalf) {
  GuestShares held;
  for (std::uint8_t device = 0; device < 64; ++device) fill(held, guest(1, device), 1000);
  EXPECT_LE(held.total(), 500U);
  EXPECT_GE(fill(held, guest(2, 1), 1000), 150U) << "a third of what was left";
}

TEST(GuestShares, ANewcomerFindsAPlaceAsLongAsThereAreSome) {
  GuestShares held;
  for (std::uint8_t invite = 0; invite < 6; ++invite) {
    EXPECT_GT(fill(held, guest(invite, 1), 100), 0U);
  }
  held = {};
  held.add(guest(1, 1));
  EXPECT_TRUE(held.leave_enough(guest(2, 1), 2)) << "the last one";
  EXPECT_FALSE(held.leave_enough(guest(1, 1), 2));
  held.add(guest(2, 1));
  EXPECT_FALSE(held.leave_enough(guest(3, 1), 2));
  held.remove(guest(1, 1));
  EXPECT_TRUE(held.leave_enough(guest(3, 1), 2)) << "given back";
}

}  // namespace
}  // namespace zks::exit
