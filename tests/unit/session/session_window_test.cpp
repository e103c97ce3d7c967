// SPDX-License-Identifier: MIT
//
// Credit over time: windows that grow with a fast reader and not with a slow one, and when CREDIT goes out.
#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::Peer;
using test::read;
using test::SessionPair;
using test::write;

constexpr std::uint64_t kShared = 32 * 1024 * 1024;

// A round trip of `path` between writer and reader; the reader takes at most `most` bytes of what came in it.
std::uint64_t window_after(std::chrono::milliseconds path, std::size_t most, int round_trips) {
  SessionPair pair(test::options_of(Role::kClient), test::options_of(Role::kExit), {}, path);
  const StreamId id = pair.connect();
  std::size_t sent = 0;
  std::size_t got = 0;
  for (int i = 0; i < round_trips; ++i) {
    std::vector<test::Record> down;
    for (;;) {
      sent += write(pair.exit, id, 1'000'000, sent);
      auto record = test::next_record(pair.exit, pair.now);
      if (record.empty()) break;
      down.push_back(std::move(record));
    }
    pair.now += path / 2;
    std::size_t taken = 0;
    for (const auto& record : down) {
      pair.deliver(pair.exit, record);
      const std::size_t now_taken = read(pair.client, id, most - taken, got, pair.now);
      taken += now_taken;
      got += now_taken;
    }
    pair.client.tick(1, pair.now, 0);
    std::vector<test::Record> up;
    for (;;) {
      auto record = test::next_record(pair.client, pair.now);
      if (record.empty()) break;
      up.push_back(std::move(record));
    }
    pair.now += path / 2;
    for (const auto& record : up) pair.deliver(pair.client, record);
    pair.exit.tick(1, pair.now, 0);
  }
  return kShared - pair.client.streams().spare_credit() + kMinWindow;
}

TEST(SessionWindow, GrowsToTheLargestWithAFastReader) {
  EXPECT_EQ(window_after(50ms, SIZE_MAX, 100), kMaxWindow);
}

TEST(SessionWindow, StaysWithASlowReader) {
  EXPECT_EQ(window_after(50ms, 4096, 200), kFirstWindow);
}

TEST(SessionWindow, StaysWhenNothingIsRead) {
  EXPECT_EQ(window_after(50ms, 0, 40), kFirstWindow);
}

TEST(SessionWindow, ALargeCreditGoesOutAtOnce) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  const Bytes bytes(kFirstWindow / 2, 0);
  ASSERT_TRUE(client.send({DataFrame{id, 0, bytes}}));
  client.session.streams().consume(id, kFirstWindow / 4, client.now + 10s);  // too late for a larger window
  const auto credits = client.take().all<CreditFrame>();
  ASSERT_EQ(credits.size(), 1U);
  EXPECT_EQ(credits[0].consumed, kFirstWindow / 4);
  EXPECT_EQ(credits[0].limit, kFirstWindow + kFirstWindow / 4);
}

TEST(SessionWindow, ASmallCreditWaitsAtMost100Milliseconds) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  ASSERT_TRUE(client.send({DataFrame{id, 0, test::golden_data()}}));
  client.take_all();
  client.session.streams().consume(id, 1, client.now);
  client.session.streams().consume(id, 2, client.now + 60ms);
  EXPECT_TRUE(client.take_all().empty());
  EXPECT_EQ(client.session.next_deadline(), client.now + 100ms);
  client.now += 99ms;
  EXPECT_TRUE(client.session.tick(1, client.now, 0));
  EXPECT_TRUE(client.take_all().empty());
  client.now += 1ms;
  EXPECT_TRUE(client.session.tick(1, client.now, 0));
  const auto credits = client.take().all<CreditFrame>();
  ASSERT_EQ(credits.size(), 1U);
  EXPECT_EQ(credits[0].consumed, 3U);
  EXPECT_GT(client.session.next_deadline(), client.now);
}

TEST(SessionWindow, ManySmallReadsMakeOneSmallCredit) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  const Bytes bytes(10'000, 0);
  ASSERT_TRUE(client.send({DataFrame{id, 0, bytes}}));
  client.take_all();
  for (int i = 0; i < 10'000; ++i) client.session.streams().consume(id, 1, client.now);
  client.now += 100ms;
  EXPECT_TRUE(client.session.tick(1, client.now, 0));
  std::size_t credits = 0;
  for (const auto& record : client.take_all()) credits += record.all<CreditFrame>().size();
  EXPECT_EQ(credits, 1U);
}

TEST(SessionWindow, TheRoundTripIsMeasuredAndSmoothed) {
  SessionPair pair;
  EXPECT_EQ(pair.client.round_trip(1), 0ns) << "the pair's records take no time";
  Peer exit(Role::kExit, test::options_of(Role::kClient));
  const auto first = exit.take().all<PingFrame>();
  ASSERT_EQ(first.size(), 1U) << "measured from the first record on";
  exit.now += 80ms;
  ASSERT_TRUE(exit.send({exit.welcome(), PongFrame{first[0].token}}));
  EXPECT_EQ(exit.session.round_trip(1), 80ms);
}

}  // namespace
}  // namespace zks::session
