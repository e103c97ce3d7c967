// SPDX-License-Identifier: MIT
#include "base/json_integer.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace zks {
namespace {

using Json = nlohmann::json;

TEST(JsonInteger, IsWithinItsBounds) {
  EXPECT_EQ(read_integer(Json::parse("7"), 7, 7), 7U);
  EXPECT_EQ(read_integer(Json::parse("6"), 7, 9), std::nullopt);
  EXPECT_EQ(read_integer(Json::parse("10"), 7, 9), std::nullopt);
  EXPECT_EQ(read_integer(Json::parse("18446744073709551615"), 0, ~std::uint64_t{0}), ~std::uint64_t{0});
}

TEST(JsonInteger, IsNothingElse) {
  for (const char* text :
       {"-1", "1.0", "1e2", "18446744073709551616", "\"1\"", "true", "null", "[1]", "{}"}) {
    EXPECT_EQ(read_integer(Json::parse(text), 0, ~std::uint64_t{0}), std::nullopt) << text;
  }
}

TEST(JsonInteger, OfAMember) {
  const Json object = Json::parse(R"({"a":5,"b":"5"})");
  EXPECT_EQ(read_integer_member(object, "a"), 5U);
  EXPECT_EQ(read_integer_member(object, "a", 6, 9), std::nullopt);
  EXPECT_EQ(read_integer_member(object, "b"), std::nullopt);
  EXPECT_EQ(read_integer_member(object, "c"), std::nullopt);
  EXPECT_EQ(read_integer_member(Json::parse("5"), "a"), std::nullopt) << "no object";
}

}  // namespace
}  // namespace zks
