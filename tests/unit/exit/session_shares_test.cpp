// SPDX-License-Identifier: MIT
//
// Who makes room for whom when all sessions are taken: a heavy user, and an honest one beside it.
#include "exit/session_shares.hpp"

#include <gtest/gtest.h>

namespace zks::exit {
namespace {

tunnel::Claim claim(std::uint8_t invite, std::uint8_t device) {
  return {{invite}, {device}};
}

void add(std::vector<SessionUsage>& sessions, const tunnel::Claim& of, int count, bool orphaned = false) {
  for (int i = 0; i < count; ++i) sessions.push_back({of, orphaned, 0});
}

TEST(SessionShares, OneDeviceThatHasManyGivesWayToOthersAndToNobodyElse) {
  std::vector<SessionUsage> sessions;
  add(sessions, claim(1, 1), 1, true);  // an honest user who is away for a moment
  add(sessions, claim(2, 1), 127);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 127U) << "the newest of the heavy one";
  EXPECT_EQ(session_that_gives_way(sessions, claim(2, 1)), std::nullopt) << "it is refused";
}

TEST(SessionShares, WithinAnInviteDevicesHaveShares) {
  std::vector<SessionUsage> sessions;
  add(sessions, claim(1, 1), 10);
  add(sessions, claim(1, 2), 1, true);
  EXPECT_EQ(session_that_gives_way(sessions, claim(1, 3)), 9U);
  EXPECT_EQ(session_that_gives_way(sessions, claim(1, 1)), std::nullopt);
}

TEST(SessionShares, OrphansOfTheHeavyGoBeforeSessionsThatRun) {
  std::vector<SessionUsage> sessions;
  add(sessions, claim(1, 1), 3);
  add(sessions, claim(2, 1), 1, true);
  add(sessions, claim(1, 1), 2, true);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 4U) << "the oldest orphan of the heavy one";
  EXPECT_EQ(session_that_gives_way(sessions, claim(1, 1)), 4U) << "one's own";
}

TEST(SessionShares, OfEqualsTheOldestOrphanGoes) {
  std::vector<SessionUsage> sessions;
  for (std::uint8_t invite = 1; invite < 5; ++invite) add(sessions, claim(invite, 1), 1, invite > 2);
  EXPECT_EQ(session_that_gives_way(sessions, claim(9, 1)), 2U);
  for (auto& session : sessions) session.orphaned = false;
  EXPECT_EQ(session_that_gives_way(sessions, claim(9, 1)), std::nullopt) << "who runs is not pushed out";
}

TEST(SessionShares, AnInviteOfManyDevicesHasNoMoreThanItsShare) {
  std::vector<SessionUsage> sessions;
  for (std::uint8_t device = 0; device < 60; ++device) add(sessions, claim(1, device), 1);
  add(sessions, claim(2, 1), 4);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 59U) << "the other one is within its share";
  add(sessions, claim(2, 1), 18);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 59U) << "22 of 82 are";
  add(sessions, claim(1, 59), 1);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 82U) << "a device with more than one goes first";
  sessions.resize(60);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 59U);
  EXPECT_EQ(session_that_gives_way(sessions, claim(1, 99)), std::nullopt);
}

// What sessions.pml found: one with many devices, each with one session, had the others' second ones ended.
TEST(SessionShares, WhoIsWithinItsShareGivesWayToNobody) {
  std::vector<SessionUsage> sessions;
  add(sessions, claim(1, 1), 2);
  for (std::uint8_t device = 0; device < 4; ++device) add(sessions, claim(2, device), 1);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 5U) << "4 of 6, where 2 is a share";
  sessions[0].orphaned = true;
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 0U) << "who is away goes before who runs";
  add(sessions, claim(2, 0), 1, true);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 6U) << "but not before who is away and has more";
}

TEST(SessionShares, WhoIsAboveItsShareGivesWay) {
  std::vector<SessionUsage> sessions;
  add(sessions, claim(1, 1), 3);
  for (std::uint8_t device = 0; device < 3; ++device) add(sessions, claim(2, device), 1);
  EXPECT_EQ(session_that_gives_way(sessions, claim(3, 1)), 2U);
  EXPECT_EQ(session_that_gives_way(sessions, claim(1, 1)), std::nullopt);
}

TEST(SessionShares, MemoryOfOrphansIsGivenBackByWhoHoldsMost) {
  std::vector<SessionUsage> sessions = {{claim(1, 1), true, 10},
                                        {claim(2, 1), false, 0},
                                        {claim(2, 1), true, 60},
                                        {claim(2, 2), true, 50},
                                        {claim(3, 1), true, 100}};
  EXPECT_EQ(orphan_that_gives_way(sessions), 2U) << "110 of the second invite; its oldest";
  sessions.resize(2);
  EXPECT_EQ(orphan_that_gives_way(sessions), 0U);
  sessions.erase(sessions.begin());
  EXPECT_EQ(orphan_that_gives_way(sessions), std::nullopt);
}

}  // namespace
}  // namespace zks::exit
