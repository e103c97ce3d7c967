// SPDX-License-Identifier: MIT
//
// LaneWindow over a path of a rate, a delay and a queue, without end unless a test bounds it, with a receiver
// that acknowledges as a session does, by a clock that the test moves.
#include "session/lane_window.hpp"

#include <gtest/gtest.h>

#include "session/lane_state.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;

class Path {
 public:
  Path(double bytes_s, LaneWindow::Duration round_trip) : bytes_s_(bytes_s), round_trip_(round_trip) {
    window_.round_trip(round_trip, now_);  // the PING that every lane begins with
  }

  void set_rate(double bytes_s) { bytes_s_ = bytes_s; }
  void set_round_trip(LaneWindow::Duration round_trip) { round_trip_ = round_trip; }

  void set_queue(LaneWindow::Duration most) { most_queue_ = most; }
  // One record is lost so often, whatever the queue.
  void lose_every(LaneWindow::Duration time) {
    lose_every_ = time;
    loss_at_ = now_;
  }
  // Nothing goes through for so long, as when the TCP connection below measures.
  void pause(LaneWindow::Duration time) { idle_at_ = std::max(idle_at_, now_) + time; }
  // Nothing is sent for so long.
  void rest(LaneWindow::Duration time) {
    for (const auto end = now_ + time; now_ < end; now_ += 100us) {
      arrive();
      hear();
    }
  }

  // Bulk without end for so long. Returns the bytes that arrived.
  std::uint64_t run(LaneWindow::Duration time) {
    const std::uint64_t before = received_;
    longest_queue_ = {};
    overflows_ = 0;
    for (const auto end = now_ + time; now_ < end; now_ += 100us) {
      arrive();
      hear();
      send();
    }
    return received_ - before;
  }

  LaneWindow::Duration longest_queue() const { return longest_queue_; }
  int overflows() const { return overflows_; }
  std::uint64_t window() const { return window_.bytes(); }
  std::uint64_t quantum() const { return window_.quantum(); }

 private:
  static constexpr std::uint64_t kRecord = 16 * 1024;

  struct Moving {
    TimePoint due;
    std::uint64_t position;
  };

  bool may_send() const {
    return sent_ - acknowledged_ < std::min(window_.bytes(), kMaxLaneBytes) && window_.open_at() <= now_;
  }

  void send() {
    while (may_send()) {
      sent_ += kRecord;
      const bool overflows = idle_at_ > now_ + most_queue_;
      if (overflows) ++overflows_;
      if (overflows || now_ >= loss_at_) {  // TCP sends it once more; what comes behind it waits
        in_order_from_ = std::max(idle_at_, now_) + 3 * round_trip_ / 2;
        loss_at_ = now_ + lose_every_;
      }
      idle_at_ = std::max(idle_at_, now_) + std::chrono::duration_cast<LaneWindow::Duration>(
                                                std::chrono::duration<double>(kRecord / bytes_s_));
      longest_queue_ = std::max<LaneWindow::Duration>(longest_queue_, idle_at_ - now_);
      records_.push_back({std::max(idle_at_ + round_trip_ / 2, in_order_from_), sent_});
      window_.sent(sent_, acknowledged_, now_);
      window_.spend(kRecord, now_);
    }
  }

  void arrive() {
    while (!records_.empty() && records_.front().due <= now_) {
      received_ = records_.front().position;
      records_.pop_front();
      if (received_ - told_ >= kLaneAckLeast)
        ack_due_ = std::min(ack_due_, std::max(now_, told_at_ + kLaneAckPause));
      if (received_ - told_ >= kLaneAckEvery) ack_due_ = now_;
    }
    if (now_ < ack_due_) return;
    told_ = received_;
    told_at_ = now_;
    ack_due_ = TimePoint::max();
    acks_.push_back({now_ + round_trip_ / 2, told_});
  }

  void hear() {
    while (!acks_.empty() && acks_.front().due <= now_) {
      acknowledged_ = acks_.front().position;
      acks_.pop_front();
      window_.acknowledged(acknowledged_, now_);
    }
  }

  double bytes_s_;
  LaneWindow::Duration round_trip_;
  LaneWindow window_{kMaxLaneBytes};
  TimePoint now_{1h}, idle_at_{}, told_at_{}, ack_due_ = TimePoint::max();
  std::uint64_t sent_ = 0, acknowledged_ = 0, received_ = 0, told_ = 0;
  std::deque<Moving> records_, acks_;
  static constexpr LaneWindow::Duration kNever = std::chrono::hours(10'000);
  LaneWindow::Duration longest_queue_{}, most_queue_ = kNever, lose_every_ = kNever;
  TimePoint in_order_from_{}, loss_at_ = TimePoint(kNever);
  int overflows_ = 0;
};

struct Line {
  const char* name;
  double bytes_s;
  LaneWindow::Duration round_trip;
};

class LaneWindowOn : public testing::TestWithParam<Line> {};

INSTANTIATE_TEST_SUITE_P(, LaneWindowOn,
                         testing::Values(Line{"bad", 1.25e6, 80ms}, Line{"home", 2.5e6, 20ms},
                                         Line{"cable", 12.5e6, 20ms}, Line{"far", 6.25e6, 150ms}),
                         [](const auto& line) { return line.param.name; });

TEST_P(LaneWindowOn, ThePathIsFullAndItsQueueShort) {
  const Line line = GetParam();
  Path path(line.bytes_s, line.round_trip);
  path.run(8s);  // the first round trip had all in flight that a lane may have
  // Without the probe of every 10 s, which is the next test's.
  EXPECT_GE(static_cast<double>(path.run(1500ms)), 0.95 * 1.5 * line.bytes_s);
  // Half a round trip and 5 ms, and 16 KiB three times: what goes out, is under way and is acknowledged at
  // once.
  const auto least = std::chrono::duration<double>(LaneWindow::kLeastBytes / line.bytes_s);
  const auto grains = std::chrono::duration<double>(3 * 16384 / line.bytes_s);
  EXPECT_LE(path.longest_queue(),
            std::max<std::chrono::duration<double>>(line.round_trip / 2 + 5ms + grains, least));
}

TEST_P(LaneWindowOn, ProbesCostLittle) {
  const Line line = GetParam();
  Path path(line.bytes_s, line.round_trip);
  path.run(8s);
  EXPECT_GE(static_cast<double>(path.run(40s)), 0.93 * 40 * line.bytes_s);
}

// What stands behind a lost segment is delivered all at once: the last of it looks as if there were no queue.
TEST(LaneWindow, AQueueDoesNotGoOnOverflowing) {
  Path path(2.5e6, 22ms);
  path.set_queue(60ms);
  path.run(3s);
  for (int i = 0; i < 3; ++i) {
    path.pause(200ms);
    path.run(2s);
    EXPECT_GE(static_cast<double>(path.run(3s)), 0.9 * 3 * 2.5e6);
    EXPECT_EQ(path.overflows(), 0);
  }
}

// Shorter than what the window leaves room for: what is lost there costs little.
TEST(LaneWindow, APathWithAShallowQueueIsFull) {
  Path path(2.5e6, 22ms);
  path.set_queue(26ms);
  path.run(3s);
  for (int i = 0; i < 3; ++i) {
    path.pause(200ms);
    path.run(2s);
    EXPECT_GE(static_cast<double>(path.run(3s)), 0.9 * 3 * 2.5e6);
  }
}

// Half of the time or more nothing is delivered, since something is lost; all else is on its way.
TEST(LaneWindow, APathThatLosesIsFull) {
  Path path(6.25e6, 150ms);
  path.lose_every(250ms);
  path.run(8s);
  EXPECT_GE(static_cast<double>(path.run(10s)), 0.8 * 10 * 6.25e6);
}

TEST(LaneWindow, WhatBeginsAfterARestKeepsAShortQueue) {
  Path path(2.5e6, 20ms);
  path.run(5s);
  path.rest(5s);
  path.run(200ms);
  EXPECT_LE(path.longest_queue(), 60ms);
}

TEST(LaneWindow, AShortPathIsNotMeasured) {
  Path path(125e6, 1ms);
  EXPECT_GE(static_cast<double>(path.run(20s)), 0.99 * 20 * 125e6);
  EXPECT_EQ(path.window(), LaneWindow::kShortPathBytes);
}

TEST(LaneWindow, AStreamsTurnIsHalfAMillisecondOfThePath) {
  for (const auto& [bytes_s, turn] :
       {std::pair(6e6, 16.0 * 1024), std::pair(60e6, 30e3), std::pair(250e6, 64.0 * 1024)}) {
    Path path(bytes_s, 1ms);
    EXPECT_EQ(path.quantum(), LaneWindow::kLeastQuantum) << "nothing is known yet";
    path.run(1s);
    EXPECT_NEAR(static_cast<double>(path.quantum()), turn, 0.1 * turn) << bytes_s;
  }
}

TEST(LaneWindow, APathThatBecomesFasterIsUsed) {
  Path path(2.5e6, 40ms);
  path.run(5s);
  path.set_rate(25e6);
  path.run(3s);
  EXPECT_GE(static_cast<double>(path.run(1s)), 0.9 * 25e6);
}

TEST(LaneWindow, APathThatBecomesSlowerKeepsNoQueue) {
  Path path(25e6, 40ms);
  path.run(5s);
  path.set_rate(2.5e6);
  path.run(4s);
  path.run(1s);
  EXPECT_LE(path.longest_queue(), 40ms);
}

TEST(LaneWindow, APathThatBecomesLongerIsMeasuredAnewWithin10Seconds) {
  Path path(12.5e6, 20ms);
  path.run(5s);
  path.set_round_trip(200ms);
  path.run(20s);
  EXPECT_GE(static_cast<double>(path.run(5s)), 0.9 * 5 * 12.5e6);
}

TEST(LaneWindow, WhatHasNoBulkBehindItChangesNothing) {
  LaneWindow window(kMaxLaneBytes);
  window.round_trip(10ms, TimePoint(1h));
  window.acknowledged(100'000, TimePoint(2h));
  EXPECT_EQ(window.bytes(), LaneWindow::kFirstBytes);
}

TEST(LaneWindow, ASmallerBoundIsNotExceeded) {
  LaneWindow window(10'000);
  window.sent(10'000, 0, TimePoint(1h));
  window.acknowledged(10'000, TimePoint(1h) + 10ms);
  EXPECT_EQ(window.bytes(), 10'000U);
}

}  // namespace
}  // namespace zks::session
