// SPDX-License-Identifier: MIT
#include "relay/ticket_keys.hpp"

#include <gtest/gtest.h>

namespace zks::relay {
namespace {

using namespace std::chrono_literals;

const TicketKeys::TimePoint kFirstKeys{1000s};

TEST(TicketKeys, OneSealsForAnHourAndOpensForTwo) {
  TicketKeys keys;
  const auto first = keys.sealing(kFirstKeys);
  EXPECT_EQ(keys.sealing(kFirstKeys + 59min).name, first.name);
  const auto opening = keys.opening(first.name, kFirstKeys + 59min);
  ASSERT_TRUE(opening);
  EXPECT_TRUE(opening->first.cipher.equals(first.cipher.view()) &&
              opening->first.mac.equals(first.mac.view()));
  EXPECT_FALSE(opening->second);

  const auto second = keys.sealing(kFirstKeys + 60min);
  EXPECT_NE(second.name, first.name);
  EXPECT_FALSE(second.cipher.equals(first.cipher.view()));
  EXPECT_FALSE(second.mac.equals(first.mac.view()));
  const auto renewed = keys.opening(first.name, kFirstKeys + 119min);
  ASSERT_TRUE(renewed);
  EXPECT_TRUE(renewed->second) << "the client gets a ticket under the second";
  EXPECT_FALSE(keys.opening(first.name, kFirstKeys + 120min));
  EXPECT_TRUE(keys.opening(second.name, kFirstKeys + 120min));
}

TEST(TicketKeys, AfterALongPauseNothingOldOpens) {
  TicketKeys keys;
  const auto first = keys.sealing(kFirstKeys);
  EXPECT_FALSE(keys.opening(first.name, kFirstKeys + 2h));
}

TEST(TicketKeys, OfAnotherServerIsNone) {
  TicketKeys keys;
  TicketKeys other;
  EXPECT_FALSE(keys.opening(other.sealing(kFirstKeys).name, kFirstKeys));
}

}  // namespace
}  // namespace zks::relay
