// SPDX-License-Identifier: MIT
//
// When a pair gets a new key: bytes, age, and both answers.
#include "relay/key_rotation.hpp"

#include <gtest/gtest.h>

namespace zks::relay {
namespace {

using namespace std::chrono_literals;

constexpr KeyRotation::Clock::time_point kFirstEpoch{};

TEST(KeyRotation, IsDueWithTheByteThatReachesTheLimit) {
  KeyRotation rotation({.bytes = 100, .age = 10min}, kFirstEpoch);
  EXPECT_FALSE(rotation.pass(99, kFirstEpoch));
  EXPECT_EQ(rotation.pass(1, kFirstEpoch), 1U);
}

TEST(KeyRotation, IsDueAtItsAgeWhenAMessagePasses) {
  KeyRotation rotation({.bytes = 100, .age = 10min}, kFirstEpoch);
  EXPECT_FALSE(rotation.pass(1, kFirstEpoch + 10min - 1ns));
  EXPECT_EQ(rotation.pass(1, kFirstEpoch + 10min), 1U);
  rotation.answered();
  rotation.answered();
  EXPECT_FALSE(rotation.pass(1, kFirstEpoch + 20min - 1ns)) << "both limits begin anew with the epoch";
  EXPECT_EQ(rotation.pass(1, kFirstEpoch + 20min), 2U);
}

TEST(KeyRotation, WaitsForBothAnswers) {
  KeyRotation rotation({.bytes = 100, .age = 10min}, kFirstEpoch);
  ASSERT_EQ(rotation.pass(100, kFirstEpoch), 1U);
  EXPECT_FALSE(rotation.pass(1'000, kFirstEpoch + 1h));
  rotation.answered();
  EXPECT_FALSE(rotation.pass(1'000, kFirstEpoch + 2h));
  rotation.answered();
  EXPECT_EQ(rotation.pass(1, kFirstEpoch + 2h), 2U) << "what passed meanwhile counts";
}

TEST(KeyRotation, EpochsGoUpByOne) {
  KeyRotation rotation({.bytes = 1, .age = 10min}, kFirstEpoch);
  for (std::uint64_t epoch = 1; epoch <= 1'000; ++epoch) {
    ASSERT_EQ(rotation.pass(1, kFirstEpoch), epoch);
    rotation.answered();
    rotation.answered();
  }
}

}  // namespace
}  // namespace zks::relay
