// SPDX-License-Identifier: MIT
#include "vpn/known_connections.hpp"

#include <gtest/gtest.h>

namespace zks::vpn {
namespace {

using namespace std::chrono_literals;

Pair pair(std::uint16_t port) {
  return {{*parse_ip_address("198.18.0.1"), port}, {*parse_ip_address("192.0.2.7"), 80}};
}
const KnownConnections::TimePoint kStart{};

TEST(KnownConnections, AreKnownForAWhileAfterTheirEnd) {
  KnownConnections known;
  EXPECT_FALSE(known.has(pair(1), kStart));
  known.begin(pair(1));
  EXPECT_TRUE(known.has(pair(1), kStart + 24h));
  EXPECT_FALSE(known.has(pair(2), kStart));
  known.end(pair(1), kStart);
  const auto later = kStart + KnownConnections::kEndedKept - 1s;
  EXPECT_TRUE(known.has(pair(1), later));  // and from here on again as long: a slow reader
  EXPECT_TRUE(known.has(pair(1), later + KnownConnections::kEndedKept - 1s));
  EXPECT_FALSE(known.has(pair(1), later + 3 * KnownConnections::kEndedKept));
  EXPECT_EQ(known.ended(), 0U);
}

TEST(KnownConnections, OneThatBeginsAnewIsLive) {
  KnownConnections known;
  known.begin(pair(1));
  known.end(pair(1), kStart);
  known.begin(pair(1));
  EXPECT_EQ(known.ended(), 0U);
  EXPECT_TRUE(known.has(pair(1), kStart + 24h));
  known.begin(pair(1));  // before the kernel had told of the end of the other
  known.end(pair(1), kStart);
  EXPECT_TRUE(known.has(pair(1), kStart + 24h));
  known.end(pair(1), kStart + 24h);
  known.end(pair(1), kStart + 24h);  // once too often
  EXPECT_EQ(known.ended(), 1U);
}

TEST(KnownConnections, ThoseThatAreOverAreBounded) {
  KnownConnections known;
  for (std::size_t i = 0; i <= KnownConnections::kMaxEnded; ++i) {
    known.begin(pair(static_cast<std::uint16_t>(i)));
    known.end(pair(static_cast<std::uint16_t>(i)), kStart);
    EXPECT_TRUE(known.has(pair(0), kStart) || i < 1);  // used all the time
  }
  EXPECT_EQ(known.ended(), KnownConnections::kMaxEnded);
  EXPECT_FALSE(known.has(pair(1), kStart));
  EXPECT_TRUE(known.has(pair(0), kStart));
}

TEST(KnownConnections, ARetransmissionCameBefore) {
  KnownConnections known;
  EXPECT_FALSE(known.came_before(pair(1), 100));
  EXPECT_FALSE(known.came_before(pair(2), 100));
  EXPECT_FALSE(known.came_before(pair(1), 90));  // sent behind it, but first to be repeated
  EXPECT_TRUE(known.came_before(pair(1), 90));
  EXPECT_FALSE(known.came_before(pair(1), 90));  // answered, so it begins anew
  EXPECT_TRUE(known.came_before(pair(2), 100));
}

}  // namespace
}  // namespace zks::vpn
