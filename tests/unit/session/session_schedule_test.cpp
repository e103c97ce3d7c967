// SPDX-License-Identifier: MIT
//
// Whose bytes are in the next record: small and young streams first, the others in equal turns.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using test::Peer;
using test::write;

constexpr std::uint64_t kQuantum = LaneWindow::kLeastQuantum;
constexpr std::uint64_t kLeftOver = 1024;  // of one, which goes to the next

// Open streams that always have something to send; the client gives credit without end.
class Scheduling : public ::testing::Test {
 protected:
  // Takes no record, so that nothing of the other streams gets lost.
  StreamId add() {
    const Destination there = test::to_ipv4({192, 0, 2, 1}, 80);
    const StreamId id = next_id_;
    next_id_ += 2;
    EXPECT_TRUE(client_.send({OpenFrame{id, there, kVarintMax}}));
    client_.session.streams().accept(id, there);
    return id;
  }
  StreamId add_bulk() {
    const StreamId id = add();
    refill(id);
    return id;
  }
  void refill(StreamId id) { written_[id] += write(client_.session, id, 1'000'000, written_[id]); }
  // The next record; every byte is acknowledged, consumed and written anew, so that nothing else limits.
  test::Record next() {
    auto record = client_.take();
    client_.now += record_time_;
    std::vector<Frame> answer;
    sent_bytes_ += record.size();
    for (const auto& frame : record.all<DataFrame>()) {
      sent_[frame.stream] += frame.bytes.size();
      answer.push_back(CreditFrame{frame.stream, frame.offset + frame.bytes.size(), kVarintMax});
    }
    answer.push_back(LaneAckFrame{sent_bytes_});
    EXPECT_TRUE(client_.send(answer));
    for (const auto& frame : record.all<DataFrame>()) {
      if (frame.stream != small_) refill(frame.stream);
    }
    return record;
  }

  // Bytes sent of the stream that sent the least and of the one that sent the most.
  std::pair<std::size_t, std::size_t> least_and_most(const std::vector<StreamId>& ids) {
    const auto [least, most] = std::minmax_element(
        ids.begin(), ids.end(), [this](StreamId a, StreamId b) { return sent_[a] < sent_[b]; });
    return {sent_[*least], sent_[*most]};
  }

  Peer client_{Role::kClient};
  std::chrono::microseconds record_time_{5'000};  // 13 MB/s
  StreamId next_id_ = 0;
  StreamId small_ = kVarintMax;
  std::map<StreamId, std::size_t> written_;
  std::map<StreamId, std::size_t> sent_;
  std::uint64_t sent_bytes_ = 0;
};

TEST_F(Scheduling, ASmallStreamsBytesAreInTheNextRecord) {
  small_ = add();
  for (int i = 0; i < 20; ++i) add_bulk();
  for (int i = 0; i < 10; ++i) next();  // until none of them is young
  for (int keystroke = 0; keystroke < 200; ++keystroke) {
    ASSERT_EQ(write(client_.session, small_, 1, static_cast<std::size_t>(keystroke)), 1U);
    std::size_t records = 1;
    for (; records < 10 && sent_[small_] <= static_cast<std::size_t>(keystroke); ++records) {
      const auto record = next();
      if (records == 1 && keystroke % 10 == 0) {
        ASSERT_TRUE(record.has<DataFrame>());
        EXPECT_EQ(record.all<DataFrame>()[0].stream, small_) << "a stream that was silent goes first";
      }
    }
    ASSERT_LT(records, 10U);
    for (int i = 0; i < 10 && keystroke % 10 == 9; ++i) next();  // silence for a while
  }
}

TEST_F(Scheduling, ANewStreamOvertakesBulk) {
  for (int i = 0; i < 20; ++i) add_bulk();
  for (int i = 0; i < 10; ++i) next();  // until none of them is young
  const StreamId fresh = add_bulk();
  const auto first = next().all<DataFrame>();
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first[0].stream, fresh);
  std::size_t bytes = 0;
  for (const auto& frame : first) bytes += frame.stream == fresh ? frame.bytes.size() : 0;
  EXPECT_EQ(bytes, kQuantum) << "for one quantum";
}

TEST_F(Scheduling, AHundredBulkStreamsGetEqualShares) {
  std::vector<StreamId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(add_bulk());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(next().empty());
    const auto [least, most] = least_and_most(ids);
    ASSERT_LE(most - least, kQuantum + kLeftOver) << "after record " << i;
  }
  EXPECT_GT(sent_[ids[0]], 30 * kQuantum);
}

TEST_F(Scheduling, OnAFastPathATurnIsARecord) {
  record_time_ = std::chrono::microseconds(250);  // 260 MB/s
  std::vector<StreamId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(add_bulk());
  for (int i = 0; i < 100; ++i) next();  // until the rate is known
  std::size_t frames = 0;
  for (int i = 0; i < 1000; ++i) frames += next().all<DataFrame>().size();
  EXPECT_LE(frames, 2'050U);  // one turn's end and the next one's beginning
  const auto [least, most] = least_and_most(ids);
  EXPECT_LE(most - least, 5 * kQuantum);
  EXPECT_GT(least, 500'000U);
}

TEST_F(Scheduling, AStreamInSmallPiecesGetsNoMoreThanItsShare) {
  const StreamId bulk = add_bulk();
  small_ = add();
  std::size_t small_bytes = 0;
  for (int i = 0; i < 400; ++i) {
    small_bytes += write(client_.session, small_, 3 * kQuantum, small_bytes);
    ASSERT_FALSE(next().empty());
  }
  EXPECT_LE(sent_[small_], sent_[bulk] + 2 * kQuantum);
  EXPECT_LE(sent_[bulk], sent_[small_] + 2 * kQuantum);
}

TEST_F(Scheduling, ARecordCarriesWhatIsReadyOfEveryStream) {
  std::vector<StreamId> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(add());
    write(client_.session, ids.back(), 100, 0);
  }
  const auto record = client_.take();
  EXPECT_EQ(record.all<DataFrame>().size(), 50U);
  EXPECT_TRUE(client_.take_all().empty());
}

TEST_F(Scheduling, FinLeavesWithTheLastByte) {
  const StreamId id = add();
  write(client_.session, id, 100, 0);
  client_.session.streams().finish(id);
  const auto record = client_.take();
  ASSERT_EQ(record.all<DataFrame>().size(), 1U);
  ASSERT_EQ(record.all<FinFrame>().size(), 1U);
  EXPECT_EQ(record.all<FinFrame>()[0].final_offset, 100U);
}

TEST_F(Scheduling, DataIsContiguousAndStaysWithinTheLimit) {
  const StreamId id = client_.open(100'000);
  EXPECT_EQ(write(client_.session, id, 1'000'000, 0), 100'000U);
  std::uint64_t next_offset = 0;
  for (const auto& record : client_.take_all()) {
    for (const auto& frame : record.all<DataFrame>()) {
      EXPECT_EQ(frame.offset, next_offset);
      next_offset += frame.bytes.size();
    }
  }
  EXPECT_EQ(next_offset, 100'000U);
}

TEST_F(Scheduling, AResetStreamSendsNothingMore) {
  const StreamId id = add_bulk();
  client_.session.streams().reset(id, ResetCode::kConnectionReset);
  for (const auto& record : client_.take_all()) EXPECT_FALSE(record.has<DataFrame>());
}

}  // namespace
}  // namespace zks::session
