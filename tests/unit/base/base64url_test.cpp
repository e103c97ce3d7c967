// SPDX-License-Identifier: MIT
//
// base64url is strict: one spelling for each byte string (keys, names and links are compared by it).
#include <gtest/gtest.h>

#include "base/bytes.hpp"

namespace zks {
namespace {

TEST(Base64Url, VectorsOfRfc4648WithoutPadding) {
  const std::vector<std::pair<std::string, std::string>> vectors = {
      {"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xfb\xff", "-_8"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(to_base64url(as_bytes(plain)), text);
    const auto back = from_base64url(text);
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(as_text(*back), plain);
  }
}

TEST(Base64Url, EveryOtherByteIsRefusedAtEveryPlace) {
  const std::string text = "-_8AZm9v_w";
  const std::string allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      if (allowed.find(static_cast<char>(value)) != std::string::npos) continue;
      std::string changed = text;
      changed[i] = static_cast<char>(value);
      EXPECT_FALSE(from_base64url(changed)) << "byte " << value << " at " << i;
    }
  }
}

TEST(Base64Url, LengthsAndTrailingBitsThatNoEncoderMakesAreRefused) {
  for (const char* text : {"A", "AAAAA", "Zh", "Zm9", "Zg==", "Zm9v\n"})
    EXPECT_FALSE(from_base64url(text)) << text;
}

TEST(Base64Url, DecodesOnlyTheExactSize) {
  std::array<std::uint8_t, 3> three{};
  EXPECT_TRUE(decode_base64url("Zm9v", three));
  EXPECT_EQ(as_text(three), "foo");
  EXPECT_FALSE(decode_base64url("Zm8", three));
  EXPECT_FALSE(decode_base64url("Zm9vYg", three));
  EXPECT_TRUE(decode_base64url("", {}));
  EXPECT_FALSE(decode_base64url("Zg", {}));
}

}  // namespace
}  // namespace zks
