// SPDX-License-Identifier: MIT
#include "session/receive_side.hpp"

#include <gtest/gtest.h>

namespace zks::session {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kWindow = 64 * 1024;
constexpr TimePoint kStart = TimePoint{} + std::chrono::hours(1);

Bytes pattern(std::uint64_t from, std::uint64_t to) {
  Bytes out;
  for (std::uint64_t i = from; i < to; ++i) out.push_back(static_cast<std::uint8_t>(i % 251));
  return out;
}

class Receiving : public ::testing::Test {
 protected:
  Receiving() { side_.reserve(kWindow, kStart); }

  Result<> arrive(std::uint64_t from, std::uint64_t to) { return side_.data(from, pattern(from, to)); }

  // Reads and consumes all that can be read, and says whether every byte was right.
  bool drain() {
    bool right = true;
    while (side_.readable() > 0) {
      std::array<ByteView, 8> pieces;
      const std::size_t count = side_.peek(pieces);
      if (count == 0) return false;
      for (std::size_t i = 0; i < count; ++i) {
        const Bytes expected = pattern(side_.consumed(), side_.consumed() + pieces[i].size());
        right = right && std::equal(expected.begin(), expected.end(), pieces[i].begin());
        side_.consume(pieces[i].size());
      }
    }
    return right;
  }

  ReceiveSide side_;
};

TEST_F(Receiving, InOrder) {
  ASSERT_TRUE(arrive(0, 100));
  ASSERT_TRUE(arrive(100, 50'000));
  EXPECT_EQ(side_.readable(), 50'000U);
  EXPECT_TRUE(drain());
  EXPECT_EQ(side_.consumed(), 50'000U);
  EXPECT_EQ(side_.memory_bytes(), 0U);
}

TEST_F(Receiving, GapsAreKeptUntilTheyClose) {
  ASSERT_TRUE(arrive(200, 300));
  ASSERT_TRUE(arrive(400, 500));
  EXPECT_EQ(side_.readable(), 0U);
  ASSERT_TRUE(arrive(0, 100));
  EXPECT_EQ(side_.readable(), 100U);
  ASSERT_TRUE(arrive(100, 200));
  EXPECT_EQ(side_.readable(), 300U);
  ASSERT_TRUE(arrive(250, 450));  // over the last gap and both its neighbours
  EXPECT_EQ(side_.readable(), 500U);
  EXPECT_TRUE(drain());
}

TEST_F(Receiving, EveryOrderOfThreeOverlappingPiecesGivesTheSame) {
  const std::array<std::pair<std::uint64_t, std::uint64_t>, 3> parts = {{{0, 40}, {30, 70}, {60, 100}}};
  std::array<std::size_t, 3> order = {0, 1, 2};
  do {
    side_ = ReceiveSide();
    side_.reserve(kWindow, kStart);
    for (const std::size_t i : order) ASSERT_TRUE(arrive(parts[i].first, parts[i].second));
    EXPECT_EQ(side_.readable(), 100U);
    EXPECT_TRUE(drain());
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(Receiving, DuplicatesAreDropped) {
  ASSERT_TRUE(arrive(0, 100));
  ASSERT_TRUE(arrive(0, 100));
  ASSERT_TRUE(arrive(50, 150));
  EXPECT_TRUE(drain());
  ASSERT_TRUE(arrive(0, 150));
  EXPECT_EQ(side_.readable(), 0U);
  EXPECT_EQ(side_.memory_bytes(), 0U) << "what was consumed is not stored again";
}

TEST_F(Receiving, TheLimitIsExact) {
  ASSERT_TRUE(arrive(kWindow - 1, kWindow));
  const auto beyond = arrive(kWindow, kWindow + 1);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().kind, ErrorKind::kProtocol);
  EXPECT_FALSE(arrive(0, kWindow + 1));
  EXPECT_LE(side_.memory_bytes(), kWindow);
}

TEST_F(Receiving, TheLimitMovesWithTheCreditThatWasSent) {
  ASSERT_TRUE(arrive(0, 1000));
  EXPECT_TRUE(drain());
  EXPECT_EQ(side_.limit(), kWindow) << "the peer was not told yet";
  EXPECT_TRUE(side_.credit_due());
  side_.credit_sent();
  EXPECT_FALSE(side_.credit_due());
  EXPECT_EQ(side_.limit(), kWindow + 1000);
  EXPECT_TRUE(arrive(kWindow, kWindow + 1000));
}

TEST_F(Receiving, CreditIsUrgentFromAQuarterOfTheWindow) {
  ASSERT_TRUE(arrive(0, kWindow));
  side_.consume(kWindow / 4 - 1);
  EXPECT_FALSE(side_.credit_urgent());
  side_.consume(1);
  EXPECT_TRUE(side_.credit_urgent());
}

TEST_F(Receiving, FinEndsTheDirectionOnceAllIsConsumed) {
  ASSERT_TRUE(side_.fin(100));
  EXPECT_FALSE(side_.at_end());
  ASSERT_TRUE(arrive(0, 100));
  EXPECT_FALSE(side_.at_end());
  EXPECT_TRUE(drain());
  EXPECT_TRUE(side_.at_end());
  EXPECT_EQ(side_.consumed(), 100U);
  side_.consume_end();
  EXPECT_TRUE(side_.ended());
  EXPECT_EQ(side_.consumed(), 101U) << "FIN takes one offset";
  EXPECT_TRUE(side_.credit_due());
  EXPECT_TRUE(side_.credit_urgent());
}

TEST_F(Receiving, FinOfAnEmptyDirection) {
  ASSERT_TRUE(side_.fin(0));
  EXPECT_TRUE(side_.at_end());
}

TEST_F(Receiving, FinalOffsetRules) {
  ASSERT_TRUE(arrive(0, 100));
  ASSERT_TRUE(arrive(200, 300));
  EXPECT_FALSE(side_.fin(299)) << "below what was received";
  EXPECT_FALSE(side_.fin(kWindow + 1)) << "beyond the limit";
  ASSERT_TRUE(side_.fin(400));
  EXPECT_TRUE(side_.fin(400)) << "the same again";
  EXPECT_FALSE(side_.fin(401)) << "changed";
  EXPECT_FALSE(arrive(350, 401)) << "data beyond it";
  EXPECT_TRUE(arrive(350, 400));
}

TEST_F(Receiving, FinAtTheLimitNeedsNoCredit) {
  ASSERT_TRUE(arrive(0, kWindow));
  EXPECT_TRUE(side_.fin(kWindow));
}

TEST_F(Receiving, GapsAreBounded) {
  for (std::uint64_t i = 1; i <= kMaxGaps; ++i) ASSERT_TRUE(arrive(2 * i, 2 * i + 1)) << i;
  const auto more = arrive(2 * kMaxGaps + 2, 2 * kMaxGaps + 3);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, ErrorKind::kProtocol);
}

TEST_F(Receiving, GapsThatTouchCountOnce) {
  for (std::uint64_t i = 1000; i > 1; --i) ASSERT_TRUE(arrive(i, i + 1));
  EXPECT_EQ(side_.readable(), 0U);
  ASSERT_TRUE(arrive(0, 2));
  EXPECT_EQ(side_.readable(), 1001U);
  EXPECT_TRUE(drain());
}

TEST_F(Receiving, OneByteFarAheadCostsNoMoreThanTheWindow) {
  ASSERT_TRUE(arrive(kWindow - 1, kWindow));
  EXPECT_LE(side_.memory_bytes(), kWindow);
  side_.drop();
  EXPECT_EQ(side_.memory_bytes(), 0U);
  EXPECT_EQ(side_.readable(), 0U);
}

TEST_F(Receiving, AFastReaderWantsALargerWindow) {
  ASSERT_TRUE(arrive(0, kWindow));
  side_.consume(kWindow / 2 - 1);
  EXPECT_FALSE(side_.wants_larger_window(kStart + 5ms, 10ms)) << "half of it is not consumed";
  side_.consume(1);
  EXPECT_TRUE(side_.wants_larger_window(kStart + 5ms, 10ms));
  EXPECT_FALSE(side_.wants_larger_window(kStart + 5ms, 10ms)) << "a new measurement has begun";
}

TEST_F(Receiving, ASlowReaderDoesNot) {
  ASSERT_TRUE(arrive(0, kWindow));
  side_.consume(kWindow / 2);
  EXPECT_FALSE(side_.wants_larger_window(kStart + 20ms, 10ms)) << "it took two round trips";
  side_.consume(kWindow / 2);
  EXPECT_TRUE(side_.wants_larger_window(kStart + 30ms, 10ms)) << "measured from the last half";
}

TEST_F(Receiving, AReaderThatFallsBehindDoesNot) {
  side_.reserve(2 * kWindow, kStart);
  side_.set_window(kWindow);
  ASSERT_TRUE(arrive(0, 2 * kWindow));
  side_.consume(kWindow / 2);
  EXPECT_FALSE(side_.wants_larger_window(kStart + 1ms, 10ms)) << "more than half a window waits for it";
}

TEST_F(Receiving, AnEndedDirectionDoesNot) {
  ASSERT_TRUE(arrive(0, kWindow));
  ASSERT_TRUE(side_.fin(kWindow));
  side_.consume(kWindow / 2);
  EXPECT_FALSE(side_.wants_larger_window(kStart + 1ms, 10ms));
}

}  // namespace
}  // namespace zks::session
