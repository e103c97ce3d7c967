// SPDX-License-Identifier: MIT
#include "ops/units.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace zks::ops {
namespace {

using std::chrono::seconds;

TEST(Duration, EveryUnit) {
  const std::pair<const char*, long> cases[] = {{"90", 90},
                                                {"90s", 90},
                                                {"15m", 900},
                                                {"12h", 43'200},
                                                {"30d", 2'592'000},
                                                {"2w", 1'209'600},
                                                {"36525d", 3'155'760'000}};
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, seconds(expected)) << text;
  }
}

TEST(Duration, RefusesTheRest) {
  for (const char* text : {"", "s", "0", "0d", "-1d", "+1d", "1.5h", "1 h", "1h30m", "30D", "1y", " 1h",
                           "1h ", "36526d", "18446744073709551615w", "99999999999999999999s"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
  }
}

TEST(Bytes, EveryUnit) {
  const std::pair<const char*, std::uint64_t> cases[] = {{"0", 0},
                                                         {"4096", 4096},
                                                         {"7B", 7},
                                                         {"512K", 512 << 10},
                                                         {"512KiB", 512 << 10},
                                                         {"512KB", 512'000},
                                                         {"64MiB", 64ULL << 20},
                                                         {"1GB", 1'000'000'000},
                                                         {"2G", 2ULL << 30},
                                                         {"3TiB", 3ULL << 40},
                                                         {"1TB", 1'000'000'000'000}};
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_bytes(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(Bytes, RefusesTheRestAndOverflow) {
  for (const char* text : {"", "K", "-1", "1k", "1 K", "1.5G", "1KBs", "16777216T", "18446744073709551616"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
  EXPECT_TRUE(parse_bytes("16777215T"));
}

TEST(Count, KeepsItsBounds) {
  EXPECT_EQ(*parse_count("1", 1, 10), 1U);
  EXPECT_EQ(*parse_count("10", 1, 10), 10U);
  EXPECT_EQ(*parse_count("18446744073709551615", 0, std::numeric_limits<std::uint64_t>::max()),
            std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"0", "11", "-1", "1s", "", "0x1"}) EXPECT_FALSE(parse_count(text, 1, 10)) << text;
}

}  // namespace
}  // namespace zks::ops
