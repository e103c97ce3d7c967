// SPDX-License-Identifier: MIT
//
// Cursors and varints at their boundaries, cut at every length, and the text encodings' strictness.
#include "base/bytes.hpp"

#include <gtest/gtest.h>

namespace zks {
namespace {

Bytes encode(std::uint64_t value) {
  Bytes out(8);
  ByteWriter writer(out);
  if (!writer.varint(value)) return {};
  out.resize(writer.written());
  return out;
}

// RFC 9000, appendix A.1.
TEST(Varint, ExamplesOfTheRfc) {
  EXPECT_EQ(to_hex(encode(151'288'809'941'952'652)), "c2197c5eff14e88c");
  EXPECT_EQ(to_hex(encode(494'878'333)), "9d7f3e7d");
  EXPECT_EQ(to_hex(encode(15'293)), "7bbd");
  EXPECT_EQ(to_hex(encode(37)), "25");
  const Bytes longer = from_hex("4025").value();  // not the shortest form; the RFC allows it
  EXPECT_EQ(ByteReader(longer).varint(), 37U);
}

TEST(Varint, RoundTripAndSizeAtEveryBoundary) {
  for (int bit = 0; bit <= 62; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    for (const std::uint64_t value : {power - 1, power, power + 1}) {
      const Bytes encoded = encode(value);
      if (value > kVarintMax) {
        EXPECT_TRUE(encoded.empty()) << value;
        continue;
      }
      const std::size_t expected = value < 64 ? 1 : value < 16'384 ? 2 : value < 1'073'741'824 ? 4 : 8;
      EXPECT_EQ(encoded.size(), expected) << value;
      EXPECT_EQ(varint_size(value), expected) << value;
      ByteReader reader(encoded);
      EXPECT_EQ(reader.varint(), value);
      EXPECT_TRUE(reader.empty());
    }
  }
}

TEST(Varint, CutAtEveryLengthLeavesTheCursor) {
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{64}, std::uint64_t{16'384}, kVarintMax}) {
    const Bytes encoded = encode(value);
    for (std::size_t size = 0; size < encoded.size(); ++size) {
      ByteReader reader(ByteView(encoded).first(size));
      EXPECT_FALSE(reader.varint());
      EXPECT_EQ(reader.remaining(), size);

      Bytes buffer(size, 0xee);
      ByteWriter writer(buffer);
      EXPECT_FALSE(writer.varint(value));
      EXPECT_EQ(writer.written(), 0U);
      EXPECT_EQ(buffer, Bytes(size, 0xee));
    }
  }
}

TEST(ByteReader, ReadsInOrderAndFailsWithoutMoving) {
  const Bytes bytes = {1, 2, 3, 4, 5, 6};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u16(), 0x0203);
  EXPECT_FALSE(reader.take(4));
  EXPECT_FALSE(reader.array<4>());
  EXPECT_EQ(reader.remaining(), 3U);
  const auto two = reader.array<2>();
  ASSERT_TRUE(two);
  EXPECT_EQ((*two)[1], 5);
  EXPECT_FALSE(reader.u16());
  EXPECT_EQ(reader.rest().front(), 6);
  EXPECT_EQ(reader.take(1)->front(), 6);
  EXPECT_FALSE(reader.u8());
  EXPECT_TRUE(reader.take(0));
}

TEST(ByteReader, SizedIsBoundedAndFailsWithoutMoving) {
  const Bytes bytes = {3, 'a', 'b', 'c', 'd'};
  for (std::size_t size = 0; size < 4; ++size) {
    ByteReader cut(ByteView(bytes).first(size));
    EXPECT_FALSE(cut.sized(100));
    EXPECT_EQ(cut.remaining(), size);
  }
  ByteReader reader(bytes);
  EXPECT_FALSE(reader.sized(2));
  EXPECT_EQ(reader.remaining(), bytes.size());
  EXPECT_EQ(as_text(*reader.sized(3)), "abc");
  EXPECT_EQ(reader.remaining(), 1U);

  const Bytes huge = encode(kVarintMax);
  ByteReader lies(huge);
  EXPECT_FALSE(lies.sized(std::numeric_limits<std::size_t>::max()));
  EXPECT_EQ(lies.remaining(), huge.size());
}

TEST(ByteWriter, WritesNothingWithoutRoom) {
  Bytes buffer(4, 0xee);
  ByteWriter writer(buffer);
  EXPECT_TRUE(writer.u8(1));
  EXPECT_TRUE(writer.u16(0x0203));
  EXPECT_FALSE(writer.u16(0x0405));
  const Bytes two = {9, 9};
  EXPECT_FALSE(writer.bytes(two));
  EXPECT_FALSE(writer.sized(ByteView(two).first(1)));
  EXPECT_EQ(writer.room(), 1U);
  EXPECT_EQ(buffer, (Bytes{1, 2, 3, 0xee}));
  EXPECT_TRUE(writer.sized({}));
  EXPECT_EQ(writer.room(), 0U);
  EXPECT_FALSE(writer.u8(0));
}

TEST(Integers, BigEndian) {
  std::array<std::uint8_t, 8> bytes;
  store_be(std::uint64_t{0x0102030405060708}, bytes.data());
  EXPECT_EQ(to_hex(bytes), "0102030405060708");
  EXPECT_EQ(load_be<std::uint64_t>(bytes.data()), 0x0102030405060708U);
  EXPECT_EQ(load_be<std::uint32_t>(bytes.data() + 4), 0x05060708U);
  EXPECT_EQ(load_be<std::uint16_t>(bytes.data()), 0x0102U);
}

TEST(Hex, RoundTripAndStrictness) {
  const Bytes bytes = {0x00, 0x7f, 0xff};
  EXPECT_EQ(to_hex(bytes), "007fff");
  EXPECT_EQ(from_hex("007fff"), bytes);
  EXPECT_EQ(from_hex(""), Bytes{});
  for (const char* bad : {"0", "0g", "00 ", "0x00", "00:01"}) EXPECT_FALSE(from_hex(bad)) << bad;
}

// RFC 4648, section 10, in lower case and without padding. base64url has base64url_test.cpp.
TEST(Base32, ExamplesOfTheRfc) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "my"},
                                                       {"fo", "mzxq"},
                                                       {"foo", "mzxw6"},
                                                       {"foob", "mzxw6yq"},
                                                       {"fooba", "mzxw6ytb"},
                                                       {"foobar", "mzxw6ytboi"}};
  for (const auto& [plain, encoded] : cases) {
    EXPECT_EQ(to_base32(as_bytes(plain)), encoded);
    EXPECT_EQ(as_text(from_base32(encoded).value()), plain);
  }
}

// Each value has one spelling: no upper case, padding, look-alikes, or bits beyond the last byte.
TEST(Base32, IsStrict) {
  for (const char* bad :
       {"MY", "my======", "m", "mzx", "mzxw6y", "mz", "m1", "m0", "m8", "my ", "mzxw6ytc\n"}) {
    EXPECT_FALSE(from_base32(bad)) << bad;
  }
}

TEST(TextEncodings, EveryOtherByteIsRefusedAtEveryPlace) {
  const auto refuses_others = [](const std::string& text, const std::string& allowed, auto decode) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (int value = 0; value < 256; ++value) {
        if (allowed.find(static_cast<char>(value)) != std::string::npos) continue;
        std::string changed = text;
        changed[i] = static_cast<char>(value);
        EXPECT_FALSE(decode(changed)) << "byte " << value << " at " << i;
      }
    }
  };
  refuses_others("09afAF", "0123456789abcdefABCDEF", from_hex);
  refuses_others("mzxw6ytb", "abcdefghijklmnopqrstuvwxyz234567", from_base32);
}

TEST(TextEncodings, RoundTripOfEverySize) {
  for (std::size_t size = 0; size <= 100; ++size) {
    Bytes bytes(size);
    fill_random(bytes);
    EXPECT_EQ(from_base32(to_base32(bytes)), bytes);
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
  }
}

TEST(Random, Differs) {
  EXPECT_NE(random_array<16>(), random_array<16>());
}

}  // namespace
}  // namespace zks
