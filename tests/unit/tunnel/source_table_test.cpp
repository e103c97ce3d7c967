// SPDX-License-Identifier: MIT
#include "tunnel/source_table.hpp"

#include <memory>

#include <gtest/gtest.h>

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;
using Table = SourceTable<std::shared_ptr<int>>;

const Table::TimePoint kStart{1h};

Table::Source source(std::uint16_t port) {
  return {boost::asio::ip::address_v4::loopback(), port};
}

TEST(SourceTable, KeepsSomethingForEachAddressAndPort) {
  Table table(4, 120s);
  EXPECT_EQ(table.touch(source(1), kStart), nullptr);
  table.add(source(1), std::make_shared<int>(1), kStart);
  table.add(source(2), std::make_shared<int>(2), kStart);
  EXPECT_EQ(**table.touch(source(1), kStart), 1);
  EXPECT_EQ(**table.touch(source(2), kStart), 2);
  EXPECT_EQ(table.touch({boost::asio::ip::address_v6::loopback(), 1}, kStart), nullptr);
  table.remove(source(1));
  table.remove(source(1));
  EXPECT_EQ(table.touch(source(1), kStart), nullptr);
  EXPECT_EQ(table.size(), 1U);
}

TEST(SourceTable, WhoWroteLongestAgoMakesRoom) {
  Table table(2, 120s);
  table.add(source(1), nullptr, kStart);
  table.add(source(2), nullptr, kStart + 1s);
  EXPECT_NE(table.touch(source(1), kStart + 2s), nullptr);
  table.add(source(3), nullptr, kStart + 3s);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_TRUE(table.wrote_lately(source(1), kStart + 3s));
  EXPECT_FALSE(table.wrote_lately(source(2), kStart + 3s));
}

TEST(SourceTable, WhoIsSilentIsForgottenOnTime) {
  Table table(4, 10s);
  EXPECT_EQ(table.next_expiry(), Table::TimePoint::max());
  table.add(source(1), nullptr, kStart);
  table.add(source(2), nullptr, kStart + 5s);
  EXPECT_EQ(table.next_expiry(), kStart + 10s);
  EXPECT_TRUE(table.wrote_lately(source(1), kStart + 9'999ms));
  EXPECT_FALSE(table.wrote_lately(source(1), kStart + 10s)) << "whether it was looked after or not";
  EXPECT_EQ(table.touch(source(1), kStart + 10s), nullptr);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_NE(table.touch(source(2), kStart + 14s), nullptr);
  table.expire(kStart + 20s);
  EXPECT_EQ(table.size(), 1U) << "it wrote meanwhile";
  table.expire(kStart + 24s);
  EXPECT_EQ(table.size(), 0U);
}

// A flow that ends may be the reason for which somebody looks here again.
TEST(SourceTable, WhatIsKeptMayLookAtTheTableWhenItEnds) {
  SourceTable<std::shared_ptr<void>> table(1, 120s);
  bool looked = false;
  const auto look = [&](void*) {
    EXPECT_FALSE(table.wrote_lately(source(1), kStart));
    looked = true;
  };
  static int anything = 0;
  table.add(source(1), std::shared_ptr<void>(&anything, look), kStart);
  table.add(source(2), nullptr, kStart);
  EXPECT_TRUE(looked);
  table.clear();
  EXPECT_EQ(table.size(), 0U);
}

TEST(SourceTable, QuestionsToADnsServerAreOverSoon) {
  EXPECT_EQ(source_idle(53), 10s);
  EXPECT_EQ(source_idle(5353), 120s);
}

}  // namespace
}  // namespace zks::tunnel
