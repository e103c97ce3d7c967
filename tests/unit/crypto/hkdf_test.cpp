// SPDX-License-Identifier: MIT
//
// HKDF-SHA256 against the test cases of RFC 5869, appendix A.
#include "crypto/hkdf.hpp"

#include <gtest/gtest.h>

namespace zks::crypto {
namespace {

Bytes counting(std::uint8_t first, std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(first + i);
  return out;
}

std::string derive(ByteView salt, ByteView input, ByteView info, std::size_t size) {
  Bytes out(size);
  hkdf_sha256(salt, input, info, out);
  return to_hex(out);
}

TEST(Hkdf, Rfc5869CaseA1) {
  EXPECT_EQ(derive(counting(0x00, 13), Bytes(22, 0x0b), counting(0xf0, 10), 42),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST(Hkdf, Rfc5869CaseA2LongInputsAndSeveralBlocks) {
  EXPECT_EQ(derive(counting(0x60, 80), counting(0x00, 80), counting(0xb0, 80), 82),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

TEST(Hkdf, Rfc5869CaseA3WithoutSaltAndInfo) {
  EXPECT_EQ(derive({}, Bytes(22, 0x0b), {}, 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Hkdf, LongestOutput) {
  const std::string whole = derive({}, Bytes(22, 0x0b), {}, 255 * 32);
  EXPECT_EQ(whole.size(), 2U * 255 * 32);
  EXPECT_EQ(whole.substr(0, 84), derive({}, Bytes(22, 0x0b), {}, 42));
}

}  // namespace
}  // namespace zks::crypto
