// SPDX-License-Identifier: MIT
//
// The lane's bound: what was sent and not acknowledged, what may exceed it, and when LANE_ACK goes out.
#include <deque>

#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::kOverhead;
using test::options_of;
using test::Peer;
using test::SessionPair;
using test::write;

constexpr std::uint64_t kRelayWindow = 1024 * 1024;  // less than a short path may have in flight
constexpr std::uint64_t kBound = kRelayWindow / 4 * 3;

LaneOptions narrow_lane() {
  LaneOptions lane;
  lane.relay_window_bytes = kRelayWindow;
  return lane;
}

// A client that gives credit without end and acknowledges nothing, and a stream that is full of data.
struct Withholding {
  Withholding() {
    client.greet();
    stream = client.open(kVarintMax);
  }
  // Writes and sends until the session is silent; returns record bytes.
  std::uint64_t send_all() {
    std::uint64_t bytes = 0;
    for (;;) {
      written += write(client.session, stream, 1'000'000, written);
      const auto records = client.take_all();
      if (records.empty()) return bytes;
      for (const auto& record : records) bytes += record.size();
    }
  }

  Peer client{Role::kClient, options_of(Role::kExit), narrow_lane()};
  StreamId stream = 0;
  std::size_t written = 0;
};

TEST(SessionLane, TheBoundIsThreeQuartersOfTheRelaysWindow) {
  LaneState lane;
  lane.options.relay_window_bytes = kRelayWindow;
  EXPECT_EQ(lane.limit(), kBound);
  lane.options.relay_window_bytes = 16 * 1024 * 1024;
  EXPECT_EQ(lane.limit(), kMaxLaneBytes);
  lane.options.relay_window_bytes = kVarintMax;
  EXPECT_EQ(lane.limit(), kMaxLaneBytes);
  lane.options.relay_window_bytes = 0;
  EXPECT_EQ(lane.limit(), 0U);
}

TEST(SessionLane, WithoutLaneAckTheSenderStopsAtTheBound) {
  Withholding state;
  const std::uint64_t sent = state.send_all();
  EXPECT_LE(sent, kBound);
  EXPECT_GE(sent, kBound - 2048) << "and not far before it";
}

TEST(SessionLane, BulkStopsAtItsWindowAndControlDoesNot) {
  Peer client(Role::kClient);
  const StreamId stream = client.open(kVarintMax);
  std::uint64_t sent = 0;
  std::size_t written = 0;
  for (int i = 0; i < 20; ++i) {  // at most 256 KiB at a time are ahead of the lane
    written += write(client.session, stream, 1'000'000, written);
    for (const auto& record : client.take_all()) sent += record.size();
  }
  // The fixture answers PINGs at once.
  EXPECT_GE(sent, LaneWindow::kShortPathBytes);
  EXPECT_LE(sent, LaneWindow::kShortPathBytes + 32 * 1024) << "one turn and its record more";
  const StreamId other = 2;
  ASSERT_TRUE(client.send({OpenFrame{other, test::to_ipv4({192, 0, 2, 1}, 1), 0}}));
  client.session.streams().accept(other, test::to_ipv4({192, 0, 2, 1}, 1));
  EXPECT_TRUE(client.take().has<OpenedFrame>());
}

// A peer at the end of a link of 20 Mbit/s and 20 ms there and back, which acknowledges each record.
struct FarPeer {
  FarPeer() {
    EXPECT_TRUE(client.send({client.hello()}));
    const auto records = client.take_all();
    client.now += kRoundTrip;
    for (const auto& record : records) {
      sent += record.size();
      for (const auto& ping : record.all<PingFrame>()) EXPECT_TRUE(client.send({PongFrame{ping.token}}));
    }
    const Destination there = test::to_ipv4({192, 0, 2, 1}, 80);
    EXPECT_TRUE(client.send({OpenFrame{0, there, kVarintMax}}));
    client.session.streams().accept(0, there);
  }

  // Bulk for so long.
  void run(std::chrono::milliseconds time) {
    for (const auto end = client.now + time; client.now < end;) {
      written += write(client.session, stream, 1'000'000, written);
      bool woken = false;
      for (auto record = client.take(); !record.empty(); record = client.take()) {
        sent += record.size();
        const auto takes =
            std::chrono::duration<double>(static_cast<double>(record.size()) / kBytesPerSecond);
        idle_at = std::max(idle_at, client.now) + std::chrono::duration_cast<TimePoint::duration>(takes);
        acknowledgements.emplace_back(idle_at + kRoundTrip, sent);
        woken = by_deadline;
      }
      if (woken) ++let_go;
      wait();
    }
  }

  // Until there is something to do.
  void wait() {
    by_deadline = acknowledgements.empty() || client.session.next_deadline() < acknowledgements.front().first;
    client.now = by_deadline ? client.session.next_deadline() : acknowledgements.front().first;
    EXPECT_TRUE(client.session.tick(1, client.now, 0));
    if (by_deadline) return;
    acknowledged = acknowledgements.front().second - behind;
    EXPECT_TRUE(client.send({LaneAckFrame{acknowledged}}));
    acknowledgements.pop_front();
  }

  static constexpr auto kRoundTrip = 20ms;
  static constexpr double kBytesPerSecond = 2.5e6;
  Peer client{Role::kClient, options_of(Role::kExit)};
  static constexpr StreamId stream = 0;
  std::size_t written = 0;
  std::uint64_t sent = 0, acknowledged = 0;
  std::uint64_t behind = 0;  // by how much each LANE_ACK says too little
  int let_go = 0;            // how often bulk went out since the session's deadline had come
  bool by_deadline = false;
  TimePoint idle_at{};
  std::deque<std::pair<TimePoint, std::uint64_t>> acknowledgements;
};

TEST(SessionLane, BulkOnALongPathIsPacedAndGoesOnByTheSessionsDeadline) {
  for (const std::uint64_t behind : {0, 100}) {
    FarPeer peer;
    peer.behind = behind;
    peer.run(1500ms);
    peer.let_go = 0;
    const std::uint64_t before = peer.acknowledged;
    peer.run(3s);  // less than 12 MiB in all, since nothing is credited
    EXPECT_GE(static_cast<double>(peer.acknowledged - before), 0.95 * 3 * FarPeer::kBytesPerSecond);
    EXPECT_GE(peer.let_go, 20) << "not by LANE_ACKs alone";
  }
}

TEST(SessionLane, BulkIsAcknowledgedEvery5MillisecondsFrom16KiBOn) {
  Peer client(Role::kClient);
  const StreamId stream = client.open(1000);
  const Bytes bytes(kLaneAckLeast, 0);
  ASSERT_TRUE(client.send({DataFrame{stream, 0, bytes}}));
  EXPECT_TRUE(client.take().has<LaneAckFrame>());
  ASSERT_TRUE(client.send({DataFrame{stream, bytes.size(), bytes}}));
  EXPECT_FALSE(client.take().has<LaneAckFrame>());
  EXPECT_EQ(client.session.next_deadline(), client.now + kLaneAckPause);
  client.now += kLaneAckPause;
  EXPECT_TRUE(client.session.tick(1, client.now, 0));
  EXPECT_TRUE(client.take().has<LaneAckFrame>());
}

TEST(SessionLane, LaneAckLetsItGoOn) {
  Withholding state;
  const std::uint64_t sent = state.send_all();
  ASSERT_TRUE(state.client.send({LaneAckFrame{sent}}));
  const std::uint64_t more = state.send_all();
  EXPECT_LE(more, kBound + 2048) << "the bytes of greeting and OPENED were acknowledged with it";
  EXPECT_GE(more, sent - 2048);
  ASSERT_TRUE(state.client.send({LaneAckFrame{1}}));
  EXPECT_EQ(state.send_all(), 0U) << "an old one changes nothing";
}

TEST(SessionLane, OnlyUrgentFramesExceedTheBoundAndAtMostByAMebibyte) {
  Withholding state;
  std::uint64_t sent = state.send_all();
  std::uint64_t exceeding = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::vector<Frame> pings(kMaxPongsOwed, PingFrame{});
    ASSERT_TRUE(state.client.send(pings));
    const auto record = state.client.take();
    if (record.empty()) break;
    exceeding += record.size();
    for (const Frame& frame : record.frames) {
      ASSERT_TRUE(std::holds_alternative<PingFrame>(frame) || std::holds_alternative<PongFrame>(frame) ||
                  std::holds_alternative<LaneAckFrame>(frame))
          << frame.index();
    }
  }
  sent += exceeding;
  EXPECT_LE(sent, kBound + kUrgentBytes);
  EXPECT_GE(exceeding, kUrgentBytes - 8192);
  EXPECT_TRUE(state.client.take_all().empty());
}

TEST(SessionLane, CreditGoesOutAtTheBoundAndControlDoesNot) {
  Withholding state;
  state.send_all();
  const StreamId other = 2;
  ASSERT_TRUE(state.client.send({OpenFrame{other, test::to_ipv4({192, 0, 2, 1}, 1), 0}}));
  state.client.session.streams().accept(other, test::to_ipv4({192, 0, 2, 1}, 1));
  const Bytes bytes(100'000, 0);
  ASSERT_TRUE(state.client.send({DataFrame{state.stream, 0, bytes}}));
  state.client.session.streams().consume(state.stream, bytes.size(), state.client.now);
  const auto record = state.client.take();
  ASSERT_EQ(record.all<CreditFrame>().size(), 1U);
  EXPECT_EQ(record.all<CreditFrame>()[0].consumed, bytes.size());
  EXPECT_FALSE(record.has<OpenedFrame>());
  for (const auto& later : state.client.take_all()) EXPECT_FALSE(later.has<OpenedFrame>());
}

TEST(SessionLane, LaneAckEvery256KiB) {
  Peer client(Role::kClient);
  const StreamId id = client.open(1000);
  std::uint64_t received = 0;
  std::uint64_t acknowledged = 0;
  const Bytes piece(1000, 0);
  std::uint64_t offset = 0;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(client.send({DataFrame{id, offset, piece}}));
    received += 1 + 1 + varint_size(offset) + 2 + piece.size() + kOverhead;
    offset += piece.size();
    client.session.streams().consume(id, piece.size(), client.now);
    for (const auto& record : client.take_all()) {
      for (const auto& ack : record.all<LaneAckFrame>()) {
        EXPECT_GT(ack.received_bytes, acknowledged);
        EXPECT_GE(ack.received_bytes, received) << "all that came, this record included";
        acknowledged = ack.received_bytes;
      }
    }
    ASSERT_LT(received, acknowledged + kLaneAckEvery + 2048);
  }
  EXPECT_GT(acknowledged, 7 * kLaneAckEvery);
}

TEST(SessionLane, LaneAckComesWithEachPong) {
  Peer client(Role::kClient);
  for (std::uint8_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send({PingFrame{Token{i}}}));
    const auto record = client.take();
    const auto pongs = record.all<PongFrame>();
    ASSERT_EQ(pongs.size(), 1U);
    EXPECT_EQ(pongs[0].token, Token{i});
    EXPECT_TRUE(record.has<LaneAckFrame>());
  }
  EXPECT_TRUE(client.take_all().empty());
}

TEST(SessionLane, PongsOwedAreBounded) {
  Peer client(Role::kClient);
  for (std::uint8_t i = 0; i < 100; ++i) ASSERT_TRUE(client.send({PingFrame{Token{i}}}));
  const auto pongs = client.take().all<PongFrame>();
  ASSERT_EQ(pongs.size(), kMaxPongsOwed);
  EXPECT_EQ(pongs.back().token, Token{99}) << "the oldest were dropped";
}

TEST(SessionLane, AcknowledgementsDoNotAnswerEachOther) {
  SessionPair pair;
  const StreamId id = pair.connect();
  for (std::size_t i = 0; i < 10; ++i) write(pair.exit, id, 100'000, 100'000 * i);
  pair.pump();  // fails if the sessions never fall silent
  EXPECT_TRUE(test::next_record(pair.client, pair.now).empty());
  EXPECT_TRUE(test::next_record(pair.exit, pair.now).empty());
}

TEST(SessionLane, EveryRecordFitsTheBufferItWasGiven) {
  for (const std::size_t room : {std::size_t{512}, std::size_t{513}, std::size_t{700}, std::size_t{5000}}) {
    Peer client(Role::kClient);
    const StreamId id = client.open(kVarintMax);
    std::size_t written = write(client.session, id, 20'000, 0);
    for (StreamId other = 100; other < 200; other += 2) {
      ASSERT_TRUE(client.send({OpenFrame{other, test::to_ipv4({192, 0, 2, 1}, 1), 0}}));
      client.session.streams().reset(other, ResetCode::kConnectionRefused);
    }
    std::size_t data = 0;
    std::size_t refusals = 0;
    for (;;) {
      const auto record = test::next_record(client.session, client.now, room);
      if (record.empty()) break;
      EXPECT_LE(record.bytes.size(), room);
      for (const auto& frame : record.all<DataFrame>()) data += frame.bytes.size();
      refusals += record.all<ResetFrame>().size();
    }
    EXPECT_EQ(data, written);
    EXPECT_EQ(refusals, 50U);
  }
}

TEST(SessionLane, ABufferBelowTheMinimumGetsNothing) {
  Peer client(Role::kClient);
  ASSERT_TRUE(client.send({PingFrame{}}));
  Bytes small(511);
  EXPECT_EQ(client.session.fill(1, small, client.now), 0U);
  EXPECT_FALSE(client.take().empty());
}

}  // namespace
}  // namespace zks::session
