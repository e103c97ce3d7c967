// SPDX-License-Identifier: MIT
#include "relay/handshakes.hpp"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "source_of.hpp"

namespace zks::relay {
namespace {

using test::source_of;

// Places with names; the names of those that were taken away are in `evicted`, in that order.
class HandshakesTest : public testing::Test {
 protected:
  Handshakes& make_table(std::size_t most, std::size_t of_source) {
    table_ = std::make_unique<Handshakes>(most, of_source);
    return *table_;
  }
  void take(Handshakes& table, const std::string& name, const std::string& from, bool shared = false) {
    slots_.push_back(std::make_unique<Handshakes::Slot>(table.take(source_of(from), shared)));
    ASSERT_TRUE(slots_.back()->on_evict([this, name] { evicted_.push_back(name); }));
  }
  using Names = std::vector<std::string>;
  std::unique_ptr<Handshakes> table_;  // outlives the slots
  std::vector<std::unique_ptr<Handshakes::Slot>> slots_;
  Names evicted_;
};

TEST_F(HandshakesTest, TheHeaviestSourceGivesWayAndNobodyElse) {
  Handshakes& table = make_table(8, 100);
  take(table, "honest", "192.0.2.1");
  for (int i = 0; i < 1000; ++i) take(table, std::to_string(i), "198.51.100.7");
  take(table, "newcomer", "192.0.2.2");
  EXPECT_EQ(table.size(), 8U);
  EXPECT_EQ(table.evicted(), 994U);
  EXPECT_EQ(evicted_.size(), 994U);
  EXPECT_EQ(evicted_.front(), "0");
  EXPECT_EQ(evicted_.back(), "993");
  for (const auto& name : evicted_) EXPECT_TRUE(name != "honest" && name != "newcomer");
}

TEST_F(HandshakesTest, ASourceHasItsShare) {
  Handshakes& table = make_table(100, 2);
  take(table, "a1", "192.0.2.1");
  take(table, "b1", "192.0.2.2");
  take(table, "a2", "192.0.2.1");
  take(table, "a3", "192.0.2.1");
  EXPECT_EQ(evicted_, Names{"a1"});
  take(table, "x1", "2001:db8:1:2::1");
  take(table, "x2", "2001:db8:1:2:ffff::2");
  take(table, "x3", "2001:db8:1:2::3");
  take(table, "y1", "2001:db8:1:3::1");
  EXPECT_EQ(evicted_, (Names{"a1", "x1"})) << "a /64 is one source";
}

TEST_F(HandshakesTest, TheOldestSilentOneGoesFirst) {
  Handshakes& table = make_table(100, 2);
  take(table, "spoke", "192.0.2.1");
  slots_.back()->spoke();
  take(table, "silent", "192.0.2.1");
  take(table, "third", "192.0.2.1");
  EXPECT_EQ(evicted_, Names{"silent"});
  slots_.back()->spoke();
  take(table, "fourth", "192.0.2.1");
  EXPECT_EQ(evicted_, (Names{"silent", "spoke"})) << "none is silent but the newcomer: the oldest";
}

// Many sources with a slot each: the one that waits longest, and never the newcomer.
TEST_F(HandshakesTest, OfEqualSourcesTheOldestGivesWay) {
  Handshakes& table = make_table(3, 3);
  for (int i = 1; i <= 5; ++i) take(table, std::to_string(i), "192.0.2." + std::to_string(i));
  EXPECT_EQ(evicted_, (Names{"1", "2"}));
}

TEST_F(HandshakesTest, AProxysConnectionsCountForWhomTheyAreOnceThatIsKnown) {
  Handshakes& table = make_table(10, 2);
  for (int i = 0; i < 4; ++i) take(table, std::to_string(i), "127.0.0.1", /*shared=*/true);
  EXPECT_TRUE(evicted_.empty()) << "a proxy has no share";
  for (int i = 0; i < 3; ++i) slots_[static_cast<std::size_t>(i)]->belongs_to(source_of("192.0.2.1"));
  EXPECT_EQ(evicted_, Names{"0"});
  EXPECT_EQ(table.size(), 3U);
}

TEST_F(HandshakesTest, PlacesAreGivenBack) {
  Handshakes& table = make_table(2, 2);
  take(table, "a", "192.0.2.1");
  take(table, "b", "192.0.2.1");
  take(table, "c", "192.0.2.1");
  EXPECT_FALSE(slots_[0]->on_evict([] {})) << "it was taken away";
  slots_.clear();
  EXPECT_EQ(table.size(), 0U);
  take(table, "d", "192.0.2.1");
  EXPECT_EQ(evicted_, Names{"a"});
}

}  // namespace
}  // namespace zks::relay
