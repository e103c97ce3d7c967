// SPDX-License-Identifier: MIT
#include "base/port.hpp"

#include <gtest/gtest.h>

namespace zks {
namespace {

TEST(Port, IsFiveDigitsAtMost) {
  EXPECT_EQ(parse_port("1"), 1);
  EXPECT_EQ(parse_port("00080"), 80);
  EXPECT_EQ(parse_port("65535"), 65'535);
  for (const char* text :
       {"", "0", "00000", "65536", "99999", "000080", "+80", "-1", " 80", "80 ", "8o", "0x50"})
    EXPECT_EQ(parse_port(text), std::nullopt) << text;
}

TEST(Port, ToBindMayBeZero) {
  EXPECT_EQ(parse_port_to_bind("0"), 0);
  EXPECT_EQ(parse_port_to_bind("443"), 443);
  for (const char* text : {"", "65536", "000000", "-0"})
    EXPECT_EQ(parse_port_to_bind(text), std::nullopt) << text;
}

}  // namespace
}  // namespace zks
