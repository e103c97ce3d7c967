// SPDX-License-Identifier: MIT
//
// Secret: copies only when asked to, and leaves nothing where it was.
#include "base/secret.hpp"

#include <algorithm>
#include <new>
#include <ostream>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace zks {
namespace {

constexpr std::array<std::uint8_t, 32> kZeros{};

Key filled() {
  Key key;
  for (std::uint8_t& byte : key.mutable_view()) byte = 0x5a;
  return key;
}

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!std::is_copy_constructible_v<Key> && !std::is_copy_assignable_v<Key>);
static_assert(std::is_nothrow_move_constructible_v<Key> && std::is_nothrow_move_assignable_v<Key>);
static_assert(!Printable<Key> && !std::is_convertible_v<Key, std::string>);
static_assert(!std::is_convertible_v<std::span<const std::uint8_t, 32>, Key>);

TEST(Secret, StartsAtZero) {
  EXPECT_TRUE(Key().equals(kZeros));
}

TEST(Secret, MovedFromIsZero) {
  Key first = filled();
  Key second = std::move(first);
  EXPECT_TRUE(first.equals(kZeros));  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_TRUE(second.equals(filled().view()));
  Key third;
  third = std::move(second);
  EXPECT_TRUE(second.equals(kZeros));  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(third.equals(filled().view()));
}

TEST(Secret, SelfMoveKeepsIt) {
  Key key = filled();
  Key& same = key;
  key = std::move(same);
  EXPECT_TRUE(key.equals(filled().view()));
}

// Looks at the memory of one that has died: a placement in storage that outlives it.
TEST(Secret, DeathWipesTheMemory) {
  alignas(Key) std::array<std::uint8_t, sizeof(Key)> storage;
  storage.fill(0xff);
  Key* key = new (storage.data()) Key(filled());
  ASSERT_EQ(storage[0], 0x5a);
  key->~Key();
  EXPECT_TRUE(std::all_of(storage.begin(), storage.end(), [](std::uint8_t byte) { return byte == 0; }));
}

TEST(Secret, CloneIsEqualAndApart) {
  Key key = filled();
  Key copy = key.clone();
  key.wipe();
  EXPECT_TRUE(key.equals(kZeros));
  EXPECT_TRUE(copy.equals(filled().view()));
}

TEST(Secret, EqualsLooksAtEveryByte) {
  const Key key = filled();
  for (std::size_t i = 0; i < Key::kSize; ++i) {
    Key other = filled();
    other.data()[i] ^= 1;
    EXPECT_FALSE(key.equals(other.view()));
  }
  EXPECT_FALSE(Key::random().equals(Key::random().view()));
}

}  // namespace
}  // namespace zks
