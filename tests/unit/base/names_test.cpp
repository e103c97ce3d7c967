// SPDX-License-Identifier: MIT
//
// Room ids and the other names: the derivation, and that each has one spelling.
#include "base/names.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

namespace zks {
namespace {

PublicKey counting_key() {
  PublicKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  return key;
}

TEST(Sha256, ExampleOfFips180) {
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// The answer was computed with Python's hashlib and base64.
TEST(RoomId, KnownAnswer) {
  const RoomId room = derive_room_id(counting_key());
  EXPECT_EQ(to_hex(room), "7e9a834e0fb5d070006ed3969c04e82862fe33a4");
  EXPECT_EQ(format_room(room), "p2nigtqpwxihaado2oljybhifbrp4m5e");
}

TEST(RoomId, IsThePrefixOfTheHashOfLabelAndKey) {
  crypto_hash_sha256_state hash;
  Digest digest;
  const PublicKey key = counting_key();
  crypto_hash_sha256_init(&hash);
  crypto_hash_sha256_update(&hash, as_bytes("zks/1 room").data(), 10);
  crypto_hash_sha256_update(&hash, key.data(), key.size());
  crypto_hash_sha256_final(&hash, digest.data());
  const RoomId room = derive_room_id(key);
  EXPECT_TRUE(std::equal(room.begin(), room.end(), digest.begin()));
}

TEST(RoomId, OneSpelling) {
  const RoomId room = derive_room_id(counting_key());
  const std::string text = format_room(room);
  EXPECT_EQ(parse_room(text), room);
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse_room(text.substr(0, size)));
  EXPECT_FALSE(parse_room(text + "a"));
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char bad : {'A', '0', '1', '8', '=', '/', '\0'}) {
      std::string changed = text;
      changed[i] = bad;
      EXPECT_FALSE(parse_room(changed)) << changed;
    }
  }
}

TEST(ParseName, ExactSizeOnly) {
  const auto id = random_array<8>();
  const std::string text = to_base64url(id);
  EXPECT_EQ(parse_name<8>(text), id);
  EXPECT_FALSE(parse_name<16>(text));
  EXPECT_FALSE(parse_name<8>(to_base64url(random_array<7>())));
  EXPECT_FALSE(parse_name<8>(to_base64url(random_array<9>())));
  EXPECT_FALSE(parse_name<8>(text + "="));
  EXPECT_FALSE(parse_name<8>(""));
}

}  // namespace
}  // namespace zks
