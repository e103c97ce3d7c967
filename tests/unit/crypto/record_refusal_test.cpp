// SPDX-License-Identifier: MIT
//
// What an opener refuses: every byte changed, every length cut or extended, replays, drops, reorderings, the
// other direction, epochs that are over or unknown. After each refusal it is dead and the plaintext is gone.
#include <gtest/gtest.h>

#include "crypto/record.hpp"
#include "record_fixture.hpp"
#include "record_reference.hpp"

namespace zks::crypto {
namespace {

const Bytes kFrames(48, 0xa5);

void expect_dead(RecordOpener& opener, const Bytes& genuine) {
  EXPECT_FALSE(open(opener, genuine));
  EXPECT_FALSE(opener.set_epoch(opener.epoch() + 1, RecordLane::relay_key(1)));
}

// Refuses `record` with kProtocol, leaves none of the frames in it, and takes nothing afterwards.
void expect_refused(RecordOpener opener, Bytes record, const Bytes& genuine) {
  const Result<MutableBytes> frames = opener.open(record);
  ASSERT_FALSE(frames);
  EXPECT_EQ(frames.error().kind, ErrorKind::kProtocol);
  const auto leak = std::search(record.begin(), record.end(), kFrames.begin(), kFrames.begin() + 8);
  EXPECT_EQ(leak, record.end());
  expect_dead(opener, genuine);
}

class RecordRefusal : public ::testing::Test {
 protected:
  RecordLane lane_;
  RecordSealer sealer_ = lane_.sealer();
  Bytes first_ = seal(sealer_, kFrames);
  Bytes second_ = seal(sealer_, kFrames);
};

TEST_F(RecordRefusal, EveryByteChanged) {
  for (const std::uint8_t mask : {0x01, 0x80, 0xff}) {
    for (std::size_t i = 0; i < first_.size(); ++i) {
      Bytes changed = first_;
      changed[i] ^= mask;
      expect_refused(lane_.opener(), changed, first_);
    }
  }
}

// Only the tag is wrong: the body had become the true frames before that showed.
TEST_F(RecordRefusal, PlaintextOfAChangedRecordIsWiped) {
  Bytes changed = first_;
  changed.back() ^= 1;
  RecordOpener opener = lane_.opener();
  ASSERT_FALSE(opener.open(changed));
  const ByteView body = ByteView(changed).subspan(kRecordHeader, kFrames.size());
  EXPECT_TRUE(std::all_of(body.begin(), body.end(), [](std::uint8_t byte) { return byte == 0; }));
}

TEST_F(RecordRefusal, EveryLengthCutOrExtended) {
  for (std::size_t size = 0; size < first_.size(); ++size) {
    expect_refused(lane_.opener(), Bytes(first_.begin(), first_.begin() + static_cast<std::ptrdiff_t>(size)),
                   first_);
  }
  for (std::size_t more = 1; more <= 64; ++more) {
    Bytes extended = first_;
    extended.resize(first_.size() + more);
    expect_refused(lane_.opener(), extended, first_);
  }
}

// Genuine in all but its length: one byte over the longest body, which opens.
TEST_F(RecordRefusal, LongerThanABodyMayBe) {
  const auto record = [this](std::size_t size) {
    return reference_record(lane_.local, lane_.direction, lane_.hash, RecordLane::relay_key(0), 0, 0,
                            Bytes(size, 0xa5));
  };
  RecordOpener opener = lane_.opener();
  EXPECT_TRUE(open(opener, record(kMaxBody)));
  expect_refused(lane_.opener(), record(kMaxBody + 1), first_);
}

TEST_F(RecordRefusal, Replayed) {
  RecordOpener opener = lane_.opener();
  ASSERT_EQ(open(opener, first_), kFrames);
  expect_refused(std::move(opener), first_, second_);
}

TEST_F(RecordRefusal, DroppedOrReordered) {
  expect_refused(lane_.opener(), second_, first_);
}

TEST_F(RecordRefusal, OfTheOtherDirection) {
  RecordLane other;
  other.direction = Direction::kExitToClient;
  expect_refused(other.opener(), first_, first_);
}

TEST_F(RecordRefusal, OfAnotherKeyOrHandshake) {
  RecordLane other_key;
  other_key.local = filled_key(0x12);
  expect_refused(other_key.opener(), first_, first_);
  RecordLane other_hash;
  other_hash.hash[0] ^= 1;
  expect_refused(other_hash.opener(), first_, first_);
  RecordOpener other_relay(lane_.local.clone(), lane_.direction, lane_.hash, RecordLane::relay_key(1));
  expect_refused(std::move(other_relay), first_, first_);
}

class RecordEpochRefusal : public ::testing::Test {
 protected:
  // Both ends at `epoch`, which the opener has seen a record of.
  void move_to(std::uint64_t epoch) {
    for (std::uint64_t next = sealer_.epoch() + 1; next <= epoch; ++next) {
      ASSERT_TRUE(opener_.set_epoch(next, RecordLane::relay_key(next)));
      ASSERT_TRUE(sealer_.set_epoch(next, RecordLane::relay_key(next)));
      ASSERT_TRUE(advance(sealer_, opener_, 1));
    }
  }
  RecordLane lane_;
  RecordSealer sealer_ = lane_.sealer();
  RecordOpener opener_ = lane_.opener();
};

TEST_F(RecordEpochRefusal, EpochNotKnownYet) {
  ASSERT_TRUE(sealer_.set_epoch(1, RecordLane::relay_key(1)));
  const Bytes record = seal(sealer_, kFrames);
  expect_refused(std::move(opener_), record, record);
}

TEST_F(RecordEpochRefusal, BackToTheOldEpoch) {
  RecordSealer stays = lane_.sealer();
  ASSERT_TRUE(opener_.set_epoch(1, RecordLane::relay_key(1)));
  ASSERT_TRUE(sealer_.set_epoch(1, RecordLane::relay_key(1)));
  ASSERT_EQ(open(opener_, seal(sealer_, kFrames)), kFrames);
  seal(stays, kFrames);
  const Bytes old = seal(stays, kFrames);  // record 1 as a sender that stayed in epoch 0 would make it
  expect_refused(std::move(opener_), old, old);
}

// Epoch 256 has the byte of epoch 0, and 257 that of 1: the key is another all the same.
TEST_F(RecordEpochRefusal, TheSameByte256EpochsEarlier) {
  move_to(256);
  RecordSealer stays = lane_.sealer();
  while (stays.records() < sealer_.records()) seal(stays, kFrames);
  const Bytes old = seal(stays, kFrames);
  ASSERT_EQ(old[0], 0);
  expect_refused(std::move(opener_), old, old);
}

TEST_F(RecordEpochRefusal, TheNewEpochsByteOnARecordOfTheOld) {
  Bytes record = seal(sealer_, kFrames);
  record[0] = 1;
  ASSERT_TRUE(opener_.set_epoch(1, RecordLane::relay_key(1)));
  expect_refused(std::move(opener_), record, record);
}

TEST_F(RecordEpochRefusal, WrongRelayKeyForTheEpoch) {
  ASSERT_TRUE(opener_.set_epoch(1, RecordLane::relay_key(2)));
  ASSERT_TRUE(sealer_.set_epoch(1, RecordLane::relay_key(1)));
  const Bytes record = seal(sealer_, kFrames);
  expect_refused(std::move(opener_), record, record);
}

TEST_F(RecordEpochRefusal, EpochsGoUpByOne) {
  for (const std::uint64_t wrong : {0, 3, 4, 6, 260}) {
    sealer_ = lane_.sealer();
    opener_ = lane_.opener();
    move_to(4);
    const Bytes record = seal(sealer_, kFrames);
    EXPECT_EQ(opener_.set_epoch(wrong, RecordLane::relay_key(wrong)).error().kind, ErrorKind::kProtocol);
    expect_dead(opener_, record);
    EXPECT_EQ(sealer_.set_epoch(wrong, RecordLane::relay_key(wrong)).error().kind, ErrorKind::kProtocol);
    EXPECT_TRUE(seal(sealer_, kFrames).empty());
  }
}

TEST_F(RecordEpochRefusal, AnEpochTwice) {
  const Bytes record = seal(sealer_, kFrames);
  ASSERT_TRUE(opener_.set_epoch(1, RecordLane::relay_key(1)));
  EXPECT_EQ(opener_.set_epoch(1, RecordLane::relay_key(1)).error().kind, ErrorKind::kProtocol);
  expect_dead(opener_, record);
}

TEST(RecordSealerRefusal, DiesOfABufferOutOfRange) {
  const RecordLane lane;
  for (const std::size_t size : {std::size_t{0}, kRecordOverhead - 1}) {
    RecordSealer sealer = lane.sealer();
    Bytes buffer(size);
    EXPECT_EQ(sealer.seal(buffer).error().kind, ErrorKind::kProtocol);
    EXPECT_TRUE(seal(sealer, kFrames).empty());
    EXPECT_FALSE(sealer.set_epoch(1, RecordLane::relay_key(1)));
  }
  RecordSealer sealer = lane.sealer();
  EXPECT_FALSE(seal(sealer, kFrames).empty());
  Bytes too_long(kRecordOverhead + kMaxBody + 1);
  EXPECT_EQ(sealer.seal(too_long).error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(seal(sealer, kFrames).empty());
  EXPECT_EQ(sealer.records(), 1U);
}

}  // namespace
}  // namespace zks::crypto
