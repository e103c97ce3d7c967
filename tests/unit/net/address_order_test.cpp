// SPDX-License-Identifier: MIT
#include "net/address_order.hpp"

#include <gtest/gtest.h>

namespace zks::net {
namespace {

using Numbers = std::vector<int>;

TEST(AddressOrder, FamiliesComeInTurnAndTheRestOfTheLongerOneBehindThem) {
  EXPECT_EQ(alternate(Numbers{1, 3, 5, 6}, Numbers{2, 4}), (Numbers{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(alternate(Numbers{1}, Numbers{2, 3, 4}), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(alternate(Numbers{}, Numbers{1, 2}), (Numbers{1, 2}));
  EXPECT_EQ(alternate(Numbers{1, 2}, Numbers{}), (Numbers{1, 2}));
  EXPECT_TRUE(alternate(Numbers{}, Numbers{}).empty());
}

}  // namespace
}  // namespace zks::net
