// SPDX-License-Identifier: MIT
//
// When a path is said to lose large packets, and when not: what connections over it show, one after another.
#include "carrier/segment_limits.hpp"

#include <gtest/gtest.h>

namespace zks::carrier {
namespace {

using namespace std::chrono_literals;

constexpr int kSmall = SegmentLimits::kSmall;

net::TcpState fresh() {
  net::TcpState state;
  state.send_segment = 1448;
  state.receive_segment = 536;
  state.acknowledged_bytes = state.received_bytes = 2'000;  // handshakes
  return state;
}

net::TcpState stuck_upload() {
  net::TcpState state = fresh();
  state.unacknowledged_bytes = 14'480;
  state.retransmits = 2;
  return state;
}

TEST(Passages, OfAStuckUpload) {
  EXPECT_EQ(passages_of(stuck_upload(), 0, Silence::kOwed).out, Passage::kStuck);
  EXPECT_EQ(passages_of(stuck_upload(), 0, Silence::kNone), Passages{}) << "it may only be late";
  net::TcpState again = stuck_upload();
  again.retransmits = 3;
  EXPECT_EQ(passages_of(again, 0, Silence::kNone).out, Passage::kStuck) << "whatever else comes";
  net::TcpState small = stuck_upload();
  small.unacknowledged_bytes = 60;
  EXPECT_EQ(passages_of(small, 0, Silence::kOwed), Passages{})
      << "a keystroke is lost, too: the path is dead";
}

TEST(Passages, OfAStuckDownload) {
  net::TcpState state = fresh();
  EXPECT_EQ(passages_of(state, 0, Silence::kOwed).in, Passage::kStuck) << "what we said has arrived";
  EXPECT_EQ(passages_of(state, 0, Silence::kNone), Passages{});
  EXPECT_EQ(passages_of(state, 0, Silence::kHeldUp), Passages{}) << "the relay may not have read it";
  state.unacknowledged_bytes = 60;
  EXPECT_EQ(passages_of(state, 0, Silence::kOwed), Passages{}) << "the question may be lost, or not be read";
  state.unacknowledged_bytes = 0;
  state.receive_segment = 1448;
  EXPECT_EQ(passages_of(state, 0, Silence::kOwed).in, Passage::kStuck) << "one came through by luck";
  state.received_bytes = 100'000;
  EXPECT_EQ(passages_of(state, 0, Silence::kOwed).in, Passage::kPasses);
}

TEST(Passages, WhereSegmentsAreSmallAnywayThereIsNothingToLimit) {
  net::TcpState state = stuck_upload();
  state.send_segment = 1188;
  EXPECT_EQ(passages_of(state, 0, Silence::kOwed), Passages{});
}

TEST(Passages, OfALimitedConnectionAreShownByMuch) {
  net::TcpState state = fresh();
  state.send_segment = state.receive_segment = 1188;
  EXPECT_EQ(passages_of(state, kSmall, Silence::kNone), Passages{}) << "handshakes are no proof";
  state.received_bytes = 20'000;
  EXPECT_EQ(passages_of(state, kSmall, Silence::kNone).in, Passage::kPasses);
  state.acknowledged_bytes = 20'000;
  EXPECT_EQ(passages_of(state, kSmall, Silence::kNone).out, Passage::kPasses);
}

class Limits : public testing::Test {
 protected:
  // A connection that is made now with what the limits say, and shows `passages` after `time`.
  int connection(Passages passages, std::chrono::milliseconds time = 3s) {
    const auto begun = now;
    const int segment = next();
    now += time;
    limits.note("relay", 443, segment, passages, begun, now);
    return segment;
  }
  int next() const { return limits.next("relay", 443, now); }

  SegmentLimits limits;
  SegmentLimits::TimePoint now{1h};
  const Passages stuck_in{Passage::kStuck, Passage::kUnknown};
  const Passages stuck_out{Passage::kUnknown, Passage::kStuck};
  const Passages passes_in{Passage::kPasses, Passage::kUnknown};
  const Passages passes_out{Passage::kUnknown, Passage::kPasses};
};

TEST_F(Limits, APathThatLosesLargePacketsIsFoundByTheThirdConnection) {
  EXPECT_EQ(connection(stuck_in), 0);
  EXPECT_EQ(connection(stuck_in), 0);
  EXPECT_EQ(connection(passes_in), kSmall) << "as a trial";
  now += 59min;
  EXPECT_EQ(next(), kSmall);
  EXPECT_EQ(limits.next("another", 443, now), 0);
  now += 2min;
  EXPECT_EQ(connection(stuck_in), 0) << "large ones are tried again after a while";
  EXPECT_EQ(connection(passes_in), kSmall) << "and one that is stuck says enough";
  now += 30min;
  EXPECT_EQ(next(), kSmall);
  limits.network_changed();
  EXPECT_EQ(next(), 0);
}

TEST_F(Limits, EachDirectionCountsForItself) {
  const Passages up{Passage::kPasses, Passage::kStuck};  // what comes is not what is lost
  EXPECT_EQ(connection(up), 0);
  EXPECT_EQ(connection(up), 0);
  EXPECT_EQ(connection(passes_out), kSmall);
  now += 30min;
  EXPECT_EQ(next(), kSmall);
}

TEST_F(Limits, OneThatIsStuckInEachDirectionIsNotTwo) {
  EXPECT_EQ(connection(stuck_in), 0);
  EXPECT_EQ(connection(stuck_out), 0);
  EXPECT_EQ(next(), 0);
}

TEST_F(Limits, ABlackoutIsNone) {
  EXPECT_EQ(connection(stuck_out), 0);
  EXPECT_EQ(connection({}), 0) << "it was away, and is back";
  EXPECT_EQ(connection(passes_out), 0);
  now += 10s;
  EXPECT_EQ(connection(stuck_out), 0) << "and away again";
  EXPECT_EQ(next(), 0);
  now += 2min;
  EXPECT_EQ(connection(stuck_out), 0);
  EXPECT_EQ(next(), 0) << "long ago";
}

// Lanes beside each other die of the same blackout.
TEST_F(Limits, ConnectionsThatWereThereBeforeCountOnce) {
  const auto begun = now;
  now += 1min;
  for (int i = 0; i < 8; ++i) limits.note("relay", 443, 0, stuck_out, begun, now);
  EXPECT_EQ(next(), 0);
}

TEST_F(Limits, ATrialThatIsStuckShowsThatItIsNotTheSize) {
  connection(stuck_in);
  connection(stuck_in);
  EXPECT_EQ(connection(stuck_in), kSmall);
  EXPECT_EQ(next(), 0);
}

// Keystrokes over a link that comes and goes: what was stuck was not large, so there is nothing to be
// carried.
TEST_F(Limits, ATrialThatCarriesNothingSoonFindsNothing) {
  connection(stuck_in);
  connection(stuck_in);
  EXPECT_EQ(connection(passes_in, 30s), kSmall);
  now += 1min;
  EXPECT_EQ(next(), 0);
}

TEST_F(Limits, AHandshakeThatOnlySmallSegmentsGetThroughIsEnough) {
  limits.found("relay", 443, now);
  EXPECT_EQ(next(), kSmall);
}

}  // namespace
}  // namespace zks::carrier
