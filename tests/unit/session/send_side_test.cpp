// SPDX-License-Identifier: MIT
#include "session/send_side.hpp"

#include <gtest/gtest.h>

namespace zks::session {
namespace {

// Appends as much of `count` bytes as there is room for; the byte at offset i is i % 251.
std::size_t append(SendSide& side, std::size_t count) {
  std::size_t written = 0;
  while (written < count) {
    std::array<MutableBytes, 4> pieces;
    if (side.prepare(count - written, pieces) == 0) break;
    for (std::size_t i = 0; i < pieces[0].size(); ++i) {
      pieces[0][i] = static_cast<std::uint8_t>((side.end() + i) % 251);
    }
    written += pieces[0].size();
    side.commit(pieces[0].size());
  }
  return written;
}

bool take_matches(SendSide& side, std::size_t count) {
  const std::uint64_t from = side.next();
  Bytes out(count);
  side.take(out);
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i] != static_cast<std::uint8_t>((from + i) % 251)) return false;
  }
  return true;
}

SendSide with_limit(std::uint64_t limit) {
  SendSide side;
  EXPECT_TRUE(side.credit(0, limit));
  return side;
}

TEST(SendSide, HasNoRoomWithoutCredit) {
  SendSide side;
  std::array<MutableBytes, 4> pieces;
  EXPECT_EQ(side.room(), 0U);
  EXPECT_EQ(side.prepare(100, pieces), 0U);
}

TEST(SendSide, SendsWhatWasWrittenInOrder) {
  SendSide side = with_limit(100'000);
  EXPECT_EQ(append(side, 50'000), 50'000U);
  EXPECT_EQ(side.sendable(), 50'000U);
  EXPECT_TRUE(take_matches(side, 20'000));
  EXPECT_TRUE(take_matches(side, 30'000));
  EXPECT_EQ(side.sendable(), 0U);
  EXPECT_EQ(side.buffered(), 50'000U) << "kept until the peer has consumed it";
}

TEST(SendSide, TakesNoMoreThanTheLimit) {
  SendSide side = with_limit(1000);
  EXPECT_EQ(append(side, 5000), 1000U);
  EXPECT_EQ(side.room(), 0U);
  ASSERT_TRUE(side.credit(0, 1500));
  EXPECT_EQ(append(side, 5000), 500U);
}

TEST(SendSide, RunsNoFurtherAheadOfTheLaneThanMaxUnsent) {
  SendSide side = with_limit(kMaxWindow);
  EXPECT_EQ(append(side, 1'000'000), kMaxUnsent);
  EXPECT_FALSE(side.low());
  EXPECT_TRUE(take_matches(side, kMaxUnsent / 2));
  EXPECT_TRUE(side.low());
  EXPECT_EQ(side.room(), kMaxUnsent / 2);
}

TEST(SendSide, KeepsNoMoreThanMaxWindowWhateverThePeerOffers) {
  SendSide side = with_limit(kVarintMax);
  std::uint64_t total = 0;
  while (side.room() > 0) {
    total += append(side, 1'000'000);
    ASSERT_TRUE(take_matches(side, static_cast<std::size_t>(side.sendable())));
  }
  EXPECT_EQ(total, kMaxWindow);
  EXPECT_EQ(side.buffered(), kMaxWindow);
}

TEST(SendSide, ForgetsWhatThePeerConsumed) {
  SendSide side = with_limit(100'000);
  append(side, 50'000);
  ASSERT_TRUE(take_matches(side, 40'000));
  ASSERT_TRUE(side.credit(30'000, 130'000));
  EXPECT_EQ(side.buffered(), 20'000U);
  EXPECT_TRUE(take_matches(side, 10'000));
  ASSERT_TRUE(side.credit(50'000, 150'000));
  EXPECT_EQ(side.buffered(), 0U);
  EXPECT_FALSE(side.owed());
  append(side, 10);
  EXPECT_TRUE(take_matches(side, 10));
}

TEST(SendSide, OldCreditChangesNothing) {
  SendSide side = with_limit(1000);
  append(side, 1000);
  ASSERT_TRUE(take_matches(side, 1000));
  ASSERT_TRUE(side.credit(600, 2000));
  ASSERT_TRUE(side.credit(200, 1200));
  EXPECT_EQ(side.buffered(), 400U);
  EXPECT_EQ(side.room(), 1000U);
}

TEST(SendSide, CreditForBytesThatWereNotSentIsRefused) {
  SendSide side = with_limit(1000);
  append(side, 500);
  ASSERT_TRUE(take_matches(side, 100));
  EXPECT_TRUE(side.credit(100, 1000));
  const auto early = side.credit(101, 1000);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().kind, ErrorKind::kProtocol);
}

TEST(SendSide, FinTakesOneOffset) {
  SendSide side = with_limit(1000);
  append(side, 10);
  side.finish();
  EXPECT_EQ(side.room(), 0U) << "nothing can be written after finish()";
  EXPECT_FALSE(side.fin_due()) << "bytes go first";
  ASSERT_TRUE(take_matches(side, 10));
  EXPECT_TRUE(side.fin_due());
  EXPECT_FALSE(side.credit(11, 1000)) << "FIN was not sent";
  side.fin_sent();
  EXPECT_FALSE(side.fin_due());
  EXPECT_TRUE(side.credit(10, 1000));
  EXPECT_FALSE(side.acknowledged());
  EXPECT_TRUE(side.owed());
  EXPECT_FALSE(side.credit(12, 1000));
  EXPECT_TRUE(side.credit(11, 1000));
  EXPECT_TRUE(side.acknowledged());
  EXPECT_FALSE(side.owed());
  EXPECT_EQ(side.buffered(), 0U);
}

TEST(SendSide, EmptyDirectionHasAFinToo) {
  SendSide side = with_limit(0);
  side.finish();
  EXPECT_TRUE(side.fin_due());
  side.fin_sent();
  EXPECT_TRUE(side.credit(1, 0));
  EXPECT_TRUE(side.acknowledged());
}

TEST(SendSide, DropForgetsEverything) {
  SendSide side = with_limit(100'000);
  append(side, 50'000);
  ASSERT_TRUE(take_matches(side, 1000));
  side.drop();
  EXPECT_EQ(side.buffered(), 0U);
  EXPECT_EQ(side.sendable(), 0U);
  EXPECT_EQ(side.room(), 0U);
  EXPECT_EQ(side.memory_bytes(), 0U);
}

TEST(SendSide, PreparedSpaceThatIsNotUsedIsFreed) {
  SendSide side = with_limit(kMaxWindow);
  std::array<MutableBytes, 4> pieces;
  EXPECT_EQ(side.prepare(64 * 1024, pieces), 4U);
  side.commit(0);
  EXPECT_EQ(side.memory_bytes(), 0U);
  EXPECT_EQ(side.prepare(64 * 1024, pieces), 4U);
  side.commit(1);
  EXPECT_EQ(side.memory_bytes(), kBlockBytes);
}

}  // namespace
}  // namespace zks::session
