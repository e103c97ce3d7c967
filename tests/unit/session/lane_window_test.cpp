// SPDX-License-Identifier: MIT
//
// LaneWindow over a path of a rate, a delay and a queue without end, with a receiver that acknowledges as a
// session does, by a clock that the test moves.
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

  // Bulk without end for so long. Returns the bytes that arrived.
  std::uint64_t run(LaneWindow::Duration time) {
    const std::uint64_t before = received_;
    longest_queue_ = {};
    for (const auto end = now_ + time; now_ < end; now_ += 100us) {
      arrive();
      hear();
      send();
    }
    return received_ - before;
  }

  LaneWindow::Duration longest_queue() const { return longest_queue_; }
  std::uint64_t window() const { return window_.bytes(); }

 private:
  static constexpr std::uint64_t kRecord = 16 * 1024;

  struct Moving {
    TimePoint due;
    std::uint64_t position;
  };

  void send() {
    while (sent_ - acknowledged_ < window_.bytes() && sent_ - acknowledged_ < kMaxLaneBytes) {
      sent_ += kRecord;
      idle_at_ = std::max(idle_at_, now_) + std::chrono::duration_cast<LaneWindow::Duration>(
                                                std::chrono::duration<double>(kRecord / bytes_s_));
      longest_queue_ = std::max<LaneWindow::Duration>(longest_queue_, idle_at_ - now_);
      records_.push_back({idle_at_ + round_trip_ / 2, sent_});
      window_.sent(sent_, acknowledged_, now_);
    }
    window_.held_back();
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
  LaneWindow::Duration longest_queue_{};
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
  const auto least = std::chrono::duration<double>(LaneWindow::kLeastBytes / line.bytes_s);
  const auto target = 8ms + line.round_trip / 8;
  EXPECT_LE(path.longest_queue(), std::max<LaneWindow::Duration>(
                                      3 * target, std::chrono::duration_cast<LaneWindow::Duration>(least)));
}

TEST_P(LaneWindowOn, ProbesCostLittle) {
  const Line line = GetParam();
  Path path(line.bytes_s, line.round_trip);
  path.run(8s);
  EXPECT_GE(static_cast<double>(path.run(40s)), 0.93 * 40 * line.bytes_s);
}

TEST(LaneWindow, AShortPathIsNotMeasured) {
  Path path(125e6, 1ms);
  EXPECT_GE(static_cast<double>(path.run(20s)), 0.99 * 20 * 125e6);
  EXPECT_EQ(path.window(), LaneWindow::kShortPathBytes);
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
