// SPDX-License-Identifier: MIT
//
// Records against the reference: sizes, both directions, the ratchet's boundaries, key epochs past 255.
#include "crypto/record.hpp"

#include <gtest/gtest.h>

#include "crypto/record_keys.hpp"
#include "record_fixture.hpp"
#include "record_reference.hpp"

namespace zks::crypto {
namespace {

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return out;
}

Bytes reference(const RecordLane& lane, std::uint64_t epoch, std::uint64_t n, ByteView frames) {
  return reference_record(lane.local, lane.direction, lane.hash, RecordLane::relay_key(epoch), epoch, n,
                          frames);
}

TEST(Record, EverySizeAroundABlockAndTheLongestAgreeWithTheReference) {
  for (const Direction direction : {Direction::kClientToExit, Direction::kExitToClient}) {
    RecordLane lane;
    lane.direction = direction;
    RecordSealer sealer = lane.sealer();
    RecordOpener opener = lane.opener();
    std::vector<std::size_t> sizes;
    for (std::size_t size = 0; size <= 130; ++size) sizes.push_back(size);
    for (const std::size_t size : {1023, 1024, 16 * 1024, 64 * 1024 - 1, 256 * 1024}) sizes.push_back(size);
    for (std::uint64_t n = 0; n < sizes.size(); ++n) {
      const Bytes frames = pattern(sizes[n]);
      EXPECT_EQ(sealer.records(), n);
      const Bytes record = seal(sealer, frames);
      ASSERT_EQ(record, reference(lane, 0, n, frames)) << sizes[n];
      ASSERT_EQ(open(opener, record), frames) << sizes[n];
      EXPECT_EQ(opener.records(), n + 1);
    }
  }
}

TEST(Record, OpensWhatTheReferenceSealed) {
  const RecordLane lane;
  RecordOpener opener = lane.opener();
  for (std::uint64_t n = 0; n < 4; ++n) {
    const Bytes frames = pattern(100 + n);
    EXPECT_EQ(open(opener, reference(lane, 0, n, frames)), frames);
  }
}

// 65,536 and 131,072 are the first records of a new key; n goes on over both.
TEST(Record, RatchetBoundaries) {
  const RecordLane lane;
  RecordSealer sealer = lane.sealer();
  RecordOpener opener = lane.opener();
  const Bytes frames = pattern(40);
  for (const std::uint64_t boundary : {kRatchetRecords, 2 * kRatchetRecords}) {
    ASSERT_TRUE(advance(sealer, opener, boundary - 1 - sealer.records()));
    for (std::uint64_t n = boundary - 1; n <= boundary + 1; ++n) {
      ASSERT_EQ(sealer.records(), n);
      const Bytes record = seal(sealer, frames);
      ASSERT_EQ(record, reference(lane, 0, n, frames)) << n;
      ASSERT_EQ(open(opener, record), frames) << n;
    }
  }
}

TEST(Record, EpochsPast255) {
  const RecordLane lane;
  RecordSealer sealer = lane.sealer();
  RecordOpener opener = lane.opener();
  const Bytes frames = pattern(33);
  for (std::uint64_t epoch = 1; epoch <= 515; ++epoch) {
    ASSERT_TRUE(opener.set_epoch(epoch, RecordLane::relay_key(epoch)));
    // One of the old epoch, still on its way.
    ASSERT_EQ(open(opener, seal(sealer, frames)), frames) << epoch;
    ASSERT_EQ(opener.epoch(), epoch - 1);
    ASSERT_TRUE(sealer.set_epoch(epoch, RecordLane::relay_key(epoch)));
    ASSERT_EQ(sealer.epoch(), epoch);
    const std::uint64_t n = sealer.records();
    const Bytes record = seal(sealer, frames);
    ASSERT_EQ(record, reference(lane, epoch, n, frames)) << epoch;
    ASSERT_EQ(record[0], epoch % 256);
    ASSERT_EQ(open(opener, record), frames) << epoch;
    ASSERT_EQ(opener.epoch(), epoch);
  }
}

// An idle direction hears of several epochs between two of its records.
TEST(Record, EpochsWithoutRecords) {
  const RecordLane lane;
  RecordSealer sealer = lane.sealer();
  RecordOpener opener = lane.opener();
  for (std::uint64_t epoch = 1; epoch <= 300; ++epoch) {
    ASSERT_TRUE(opener.set_epoch(epoch, RecordLane::relay_key(epoch)));
    ASSERT_TRUE(sealer.set_epoch(epoch, RecordLane::relay_key(epoch)));
  }
  EXPECT_EQ(open(opener, seal(sealer, pattern(5))), pattern(5));
  EXPECT_EQ(opener.epoch(), 300U);
}

// A new epoch changes neither n nor the ratchet.
TEST(Record, EpochChangeAtTheRatchetBoundary) {
  const RecordLane lane;
  RecordSealer sealer = lane.sealer();
  RecordOpener opener = lane.opener();
  ASSERT_TRUE(advance(sealer, opener, kRatchetRecords));
  ASSERT_TRUE(opener.set_epoch(1, RecordLane::relay_key(1)));
  ASSERT_TRUE(sealer.set_epoch(1, RecordLane::relay_key(1)));
  const Bytes record = seal(sealer, pattern(9));
  EXPECT_EQ(record, reference(lane, 1, kRatchetRecords, pattern(9)));
  EXPECT_EQ(open(opener, record), pattern(9));
}

TEST(Record, MovesKeepTheState) {
  const RecordLane lane;
  RecordSealer first = lane.sealer();
  RecordOpener first_opener = lane.opener();
  ASSERT_TRUE(advance(first, first_opener, 3));
  RecordSealer sealer = std::move(first);
  RecordOpener opener = std::move(first_opener);
  EXPECT_EQ(seal(sealer, pattern(8)), reference(lane, 0, 3, pattern(8)));
  EXPECT_EQ(open(opener, reference(lane, 0, 3, pattern(8))), pattern(8));
}

TEST(RecordKeys, RemoteKeyDependsOnEachInput) {
  const RecordLane lane;
  const Key relay = RecordLane::relay_key(0);
  const Key key = derive_remote_key(Direction::kClientToExit, 0, lane.hash, relay);
  EXPECT_TRUE(key.equals(reference_remote_key(Direction::kClientToExit, 0, lane.hash, relay).view()));
  EXPECT_FALSE(key.equals(derive_remote_key(Direction::kExitToClient, 0, lane.hash, relay).view()));
  EXPECT_FALSE(key.equals(derive_remote_key(Direction::kClientToExit, 256, lane.hash, relay).view()));
  EXPECT_FALSE(key.equals(derive_remote_key(Direction::kClientToExit, 0, Digest{}, relay).view()));
  const Key other = RecordLane::relay_key(1);
  EXPECT_FALSE(key.equals(derive_remote_key(Direction::kClientToExit, 0, lane.hash, other).view()));
}

// n = 2^64-1 is the nonce of rekey: the record before it is the last.
TEST(RecordKeys, RecordNumbersEndBeforeTheReservedNonce) {
  LocalCipher cipher(filled_key(1), ChaChaPoly::Mode::kSeal, kReservedNonce - 1);
  EXPECT_FALSE(cipher.used_up());
  ASSERT_TRUE(cipher.start(0));
  cipher.done();
  EXPECT_TRUE(cipher.used_up());
}

}  // namespace
}  // namespace zks::crypto
