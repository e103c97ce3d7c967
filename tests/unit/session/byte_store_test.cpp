// SPDX-License-Identifier: MIT
#include "session/byte_store.hpp"

#include <gtest/gtest.h>

#include "base/bytes.hpp"

namespace zks::session {
namespace {

void write(ByteStore& store, std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const MutableBytes space = store.space_at(offset);
    const std::size_t size = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), size, space.begin());
    bytes = bytes.subspan(size);
    offset += size;
  }
}

Bytes read(const ByteStore& store, std::uint64_t offset, std::size_t count) {
  Bytes out;
  while (out.size() < count) {
    const ByteView piece = store.bytes_at(offset + out.size());
    const std::size_t size = std::min(piece.size(), count - out.size());
    out.insert(out.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(size));
  }
  return out;
}

Bytes pattern(std::size_t count, std::uint64_t offset) {
  Bytes out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::uint8_t>((offset + i) % 251);
  return out;
}

TEST(ByteStore, KeepsWhatWasWrittenAcrossBlocks) {
  ByteStore store;
  write(store, 0, pattern(3 * kBlockBytes + 5, 0));
  EXPECT_EQ(store.blocks(), 4U);
  EXPECT_EQ(read(store, 0, 3 * kBlockBytes + 5), pattern(3 * kBlockBytes + 5, 0));
  EXPECT_EQ(read(store, kBlockBytes - 3, 10), pattern(10, kBlockBytes - 3));
}

TEST(ByteStore, FreesWholeBlocksOnly) {
  ByteStore store;
  write(store, 0, pattern(3 * kBlockBytes, 0));
  store.forget_before(kBlockBytes - 1);
  EXPECT_EQ(store.blocks(), 3U);
  store.forget_before(kBlockBytes);
  EXPECT_EQ(store.blocks(), 2U);
  EXPECT_EQ(store.begin(), kBlockBytes);
  EXPECT_EQ(read(store, kBlockBytes, kBlockBytes), pattern(kBlockBytes, kBlockBytes));
}

TEST(ByteStore, StartsAnewAtAnyOffset) {
  ByteStore store;
  write(store, 0, pattern(100, 0));
  store.forget_before(100);
  store.clear();
  EXPECT_EQ(store.memory_bytes(), 0U);
  write(store, 100, pattern(kBlockBytes, 100));
  EXPECT_EQ(store.blocks(), 1U) << "the first block starts at the first kept byte";
  EXPECT_EQ(read(store, 100, kBlockBytes), pattern(kBlockBytes, 100));
}

TEST(ByteStore, TakesWritesInAnyOrder) {
  ByteStore store;
  write(store, 2 * kBlockBytes, pattern(10, 2 * kBlockBytes));
  EXPECT_EQ(store.blocks(), 3U);
  write(store, kBlockBytes - 4, pattern(8, kBlockBytes - 4));
  EXPECT_EQ(read(store, kBlockBytes - 4, 8), pattern(8, kBlockBytes - 4));
  EXPECT_EQ(read(store, 2 * kBlockBytes, 10), pattern(10, 2 * kBlockBytes));
}

TEST(ByteStore, TrimsBlocksThatWereNotUsed) {
  ByteStore store;
  write(store, 0, pattern(100, 0));
  store.space_at(kBlockBytes);
  store.space_at(2 * kBlockBytes);
  store.trim_after(100);
  EXPECT_EQ(store.blocks(), 1U);
  EXPECT_EQ(read(store, 0, 100), pattern(100, 0));
  store.forget_before(100);
  store.trim_after(100);
  EXPECT_EQ(store.blocks(), 1U) << "byte 100 may still be written into the block that is there";
  store.clear();
  store.space_at(100);
  store.trim_after(100);
  EXPECT_EQ(store.blocks(), 0U);
}

TEST(ByteStore, ForgettingBeyondItsBlocksLeavesNothing) {
  ByteStore store;
  write(store, 0, pattern(10, 0));
  store.forget_before(5 * kBlockBytes + 7);
  EXPECT_EQ(store.blocks(), 0U);
  write(store, 5 * kBlockBytes + 7, pattern(4, 1));
  EXPECT_EQ(store.blocks(), 1U);
  EXPECT_EQ(read(store, 5 * kBlockBytes + 7, 4), pattern(4, 1));
}

}  // namespace
}  // namespace zks::session
