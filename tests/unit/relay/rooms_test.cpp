// SPDX-License-Identifier: MIT
#include "relay/rooms.hpp"

#include <list>
#include <optional>

#include <gtest/gtest.h>
#include <sodium.h>

#include "relay/mark_ledger.hpp"
#include "relay/registration.hpp"
#include "source_of.hpp"

namespace zks::relay {
namespace {

using test::source_of;

class FakeExit final : public RegisteredExit {
 public:
  void knock(const PairId& pair) override { knocks.push_back(pair); }
  void replaced(const std::shared_ptr<RegisteredExit>&) override { was_replaced = true; }
  void give_way() override { gave_way = true; }
  std::vector<PairId> knocks;
  bool was_replaced = false;
  bool gave_way = false;
};

RoomId room(std::uint8_t n) {
  return RoomId{n};
}
InstanceId instance(std::uint8_t n) {
  return InstanceId{n};
}
const Source kSomebody = source_of("192.0.2.1");

// Pairs under names; those that gave way are in `gave_way`, in that order.
class PairsTest : public testing::Test {
 protected:
  Rooms& make(const Rooms::Limits& limits) { return rooms_.emplace(limits); }
  // The HTTP status.
  unsigned take(Rooms& rooms, const std::string& name, const RoomId& in, const std::string& from) {
    auto slot = rooms.reserve_pair(in, source_of(from));
    if (!slot) return static_cast<unsigned>(slot.error().detail);
    slots_.push_back(std::move(*slot));
    EXPECT_TRUE(slots_.back().on_give_way([this, name] { gave_way_.push_back(name); }));
    return 101;
  }
  using Names = std::vector<std::string>;
  std::optional<Rooms> rooms_;  // outlives the slots
  std::list<PairSlot> slots_;
  Names gave_way_;
};

TEST(Rooms, KnocksInTurn) {
  Rooms rooms({10, 100, 10});
  std::vector<std::shared_ptr<FakeExit>> exits;
  for (std::uint8_t i = 0; i < 3; ++i) {
    exits.push_back(std::make_shared<FakeExit>());
    ASSERT_TRUE(rooms.add_exit(room(1), instance(i), kSomebody, exits.back()));
  }
  for (std::size_t turn = 0; turn < 6; ++turn) {
    const auto order = rooms.exits(room(1), std::nullopt);
    ASSERT_EQ(order.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(rooms.exit(room(1), order[i]), exits[(turn + i) % 3]);
  }
  const auto named = rooms.exits(room(1), instance(2));
  ASSERT_EQ(named.size(), 1U);
  EXPECT_EQ(rooms.exit(room(1), named[0]), exits[2]);
  EXPECT_TRUE(rooms.exits(room(1), instance(9)).empty());
  EXPECT_TRUE(rooms.exits(room(2), std::nullopt).empty());
}

TEST(Rooms, AnInstanceReplacesItself) {
  Rooms rooms({10, 100, 10});
  const auto old = std::make_shared<FakeExit>();
  const auto fresh = std::make_shared<FakeExit>();
  EXPECT_EQ(rooms.add_exit(room(1), instance(1), kSomebody, old).value(), nullptr);
  const auto asked = rooms.exits(room(1), std::nullopt);
  EXPECT_EQ(rooms.add_exit(room(1), instance(1), kSomebody, fresh).value(), old);
  rooms.remove_exit(room(1), instance(1), old.get());  // too late: it is not the one registered
  EXPECT_EQ(rooms.exit(room(1), asked.at(0)), fresh) << "whoever asked before knocks on the new one";
  rooms.remove_exit(room(1), instance(1), fresh.get());
  EXPECT_TRUE(rooms.exits(room(1), std::nullopt).empty());
  EXPECT_EQ(rooms.exit(room(1), instance(1)), nullptr);
  EXPECT_EQ(rooms.rooms(), 0U);
}

TEST(Rooms, HoldsEightInstances) {
  Rooms rooms({100, 100, 10});
  const auto exit = std::make_shared<FakeExit>();
  for (std::uint8_t i = 0; i < Rooms::kMaxInstances; ++i)
    ASSERT_TRUE(rooms.add_exit(room(1), instance(i), kSomebody, exit));
  EXPECT_EQ(rooms.add_exit(room(1), instance(100), kSomebody, exit).error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(rooms.add_exit(room(1), instance(3), kSomebody, exit)) << "one of the eight";
  EXPECT_TRUE(rooms.add_exit(room(2), instance(100), kSomebody, exit));
}

TEST(Rooms, BoundsPairsByRoomAndInAll) {
  Rooms rooms({3, 100, 2});
  std::vector<PairSlot> slots;
  slots.push_back(rooms.reserve_pair(room(1), kSomebody).value());
  slots.push_back(rooms.reserve_pair(room(1), kSomebody).value());
  EXPECT_EQ(rooms.reserve_pair(room(1), kSomebody).error().detail, 429);
  slots.push_back(rooms.reserve_pair(room(2), kSomebody).value());
  EXPECT_EQ(rooms.reserve_pair(room(3), kSomebody).error().detail, 503);
  EXPECT_EQ(rooms.pairs(), 3U);
  slots.pop_back();
  EXPECT_TRUE(rooms.reserve_pair(room(3), kSomebody));
  slots.clear();
  EXPECT_EQ(rooms.pairs(), 0U);
  EXPECT_EQ(rooms.rooms(), 0U);
}

TEST_F(PairsTest, OfAFullRelayTheHeaviestSourceGivesWay) {
  Rooms& rooms = make({6, 100, 100});
  EXPECT_EQ(take(rooms, "honest", room(1), "192.0.2.1"), 101U);
  for (std::uint8_t i = 0; i < 50; ++i) take(rooms, std::to_string(i), room(i), "198.51.100.7");
  EXPECT_EQ(take(rooms, "newcomer", room(1), "192.0.2.2"), 101U);
  EXPECT_EQ(gave_way_, Names{"4"}) << "the newest of them; the attacker's own later ones were refused";
  EXPECT_EQ(take(rooms, "second", room(1), "192.0.2.2"), 101U);
  EXPECT_EQ(take(rooms, "third", room(1), "192.0.2.2"), 503U) << "nobody has two more than it";
  EXPECT_EQ(rooms.pairs(), 6U);
  slots_.clear();
  EXPECT_EQ(rooms.pairs(), 0U);
  EXPECT_EQ(rooms.rooms(), 0U);
}

TEST_F(PairsTest, ASourceHasItsShareAndNoMore) {
  Rooms& rooms = make({100, 2, 100});
  EXPECT_EQ(take(rooms, "a1", room(1), "2001:db8:1:2::1"), 101U);
  EXPECT_EQ(take(rooms, "a2", room(2), "2001:db8:1:2:ffff::2"), 101U);
  EXPECT_EQ(take(rooms, "a3", room(3), "2001:db8:1:2::3"), 429U) << "a /64 is one source";
  EXPECT_EQ(take(rooms, "b1", room(3), "2001:db8:1:3::1"), 101U);
  slots_.pop_front();
  EXPECT_EQ(take(rooms, "a4", room(3), "2001:db8:1:2::1"), 101U);
  EXPECT_TRUE(gave_way_.empty());
}

// Whoever knows a room's id may join it: also there nobody uses up what is the others'.
TEST_F(PairsTest, OfAFullRoomItsHeaviestSourceGivesWay) {
  Rooms& rooms = make({100, 100, 4});
  for (std::uint8_t i = 0; i < 20; ++i) take(rooms, "elsewhere", room(2), "192.0.2.9");
  for (std::uint8_t i = 0; i < 9; ++i) take(rooms, std::to_string(i), room(1), "198.51.100.7");
  EXPECT_EQ(take(rooms, "guest", room(1), "192.0.2.1"), 101U);
  EXPECT_EQ(gave_way_, Names{"3"});
  EXPECT_EQ(take(rooms, "again", room(1), "198.51.100.7"), 429U);
  EXPECT_EQ(rooms.pairs(), 8U);
}

// It took its place before its connection was a pair.
TEST_F(PairsTest, WhatGaveWayEarlyLearnsItLater) {
  Rooms& rooms = make({2, 100, 100});
  take(rooms, "first", room(1), "198.51.100.7");
  auto early = rooms.reserve_pair(room(1), source_of("198.51.100.7"));
  ASSERT_TRUE(early);
  EXPECT_EQ(take(rooms, "newcomer", room(2), "192.0.2.1"), 101U);
  EXPECT_FALSE(early->on_give_way([] {}));
}

TEST(Rooms, ExitsHaveSharesAndGiveWayToo) {
  Rooms rooms({4, 3, 100});
  std::vector<std::shared_ptr<FakeExit>> crowd;
  const Source attacker = source_of("198.51.100.7");
  for (std::uint8_t i = 0; i < 3; ++i) {
    crowd.push_back(std::make_shared<FakeExit>());
    ASSERT_TRUE(rooms.add_exit(room(i), instance(1), attacker, crowd.back()));
  }
  EXPECT_EQ(rooms.may_register(room(9), instance(1), attacker), 429U);
  EXPECT_EQ(rooms.may_register(room(2), instance(1), attacker), 101U) << "takes its own place";
  EXPECT_EQ(rooms.add_exit(room(9), instance(1), attacker, crowd[0]).error().detail, kGaveWay);
  const auto honest = std::make_shared<FakeExit>();
  ASSERT_TRUE(rooms.add_exit(room(100), instance(1), kSomebody, honest));
  ASSERT_EQ(rooms.may_register(room(101), instance(1), source_of("192.0.2.2")), 101U);
  ASSERT_TRUE(rooms.add_exit(room(101), instance(1), source_of("192.0.2.2"), honest));
  EXPECT_TRUE(crowd[2]->gave_way && !crowd[1]->gave_way && !crowd[0]->gave_way && !honest->gave_way);
  EXPECT_EQ(rooms.registered_exits(), 4U);
  rooms.remove_exit(room(2), instance(1), crowd[2].get());  // as it ends
  EXPECT_EQ(rooms.registered_exits(), 4U);
  EXPECT_EQ(rooms.rooms(), 4U);
}

TEST(Rooms, ARegistrationTooManyLeavesTheRelayFull) {
  Rooms rooms({2, 100, 2});
  const auto exit = std::make_shared<FakeExit>();
  EXPECT_EQ(rooms.may_register(room(3), instance(1), kSomebody), 101U);
  ASSERT_TRUE(rooms.add_exit(room(1), instance(1), kSomebody, exit));
  ASSERT_TRUE(rooms.add_exit(room(2), instance(1), kSomebody, exit));
  EXPECT_EQ(rooms.may_register(room(3), instance(1), kSomebody), 503U);
  EXPECT_EQ(rooms.add_exit(room(3), instance(1), kSomebody, exit).error().detail, kGaveWay);
  EXPECT_EQ(rooms.rooms(), 2U);
  ASSERT_TRUE(rooms.add_exit(room(2), instance(1), kSomebody, exit)) << "it has its place";
  rooms.remove_exit(room(2), instance(1), exit.get());
  EXPECT_EQ(rooms.may_register(room(3), instance(1), kSomebody), 101U);
}

TEST(MarkLedger, MarksEvery256KibAndBoundsWhatIsBehind) {
  MarkLedger ledger(1 << 20);
  EXPECT_FALSE(ledger.sent(MarkLedger::kMarkEveryBytes - 1));
  const auto first = ledger.sent(1);
  ASSERT_TRUE(first);
  EXPECT_FALSE(ledger.sent(1));
  EXPECT_TRUE(ledger.sent(1 << 20)) << "one mark, however long the message was";
  EXPECT_TRUE(ledger.behind());
  EXPECT_TRUE(ledger.echoed(*first));
  EXPECT_FALSE(ledger.behind());
  EXPECT_FALSE(ledger.echoed(*first)) << "only once";
  EXPECT_FALSE(ledger.echoed("unknown"));
}

TEST(MarkLedger, TheWindowItselfIsAllowed) {
  MarkLedger ledger(1000);
  const auto mark = ledger.sent(MarkLedger::kMarkEveryBytes);
  ASSERT_TRUE(mark);
  ledger.sent(1000);
  EXPECT_FALSE(ledger.behind());
  ledger.sent(1);
  EXPECT_TRUE(ledger.behind());
  EXPECT_EQ(ledger.open_marks(), 1U);
}

TEST(Registration, NeedsTheKeyOfTheRoomForThisRelay) {
  PublicKey public_key;
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  crypto_sign_keypair(public_key.data(), secret.data());
  const RoomId id = derive_room_id(public_key);
  const auto nonce = random_array<32>();
  const Bytes message = carrier::registration_message(nonce, "relay.example", id, instance(1));
  carrier::Register answer{public_key, {}};
  crypto_sign_detached(answer.signature.data(), nullptr, message.data(), message.size(), secret.data());

  EXPECT_TRUE(owns_room(answer, nonce, "relay.example", id, instance(1)));
  EXPECT_FALSE(owns_room(answer, nonce, "other.example", id, instance(1)));
  EXPECT_FALSE(owns_room(answer, nonce, "relay.example", room(1), instance(1)));
  EXPECT_FALSE(owns_room(answer, nonce, "relay.example", id, instance(2)));
  EXPECT_FALSE(owns_room(answer, random_array<32>(), "relay.example", id, instance(1)));
  for (std::size_t i = 0; i < answer.signature.size(); ++i) {
    answer.signature[i] ^= 1;
    EXPECT_FALSE(owns_room(answer, nonce, "relay.example", id, instance(1)));
    answer.signature[i] ^= 1;
  }
  answer.room_key[0] ^= 1;
  EXPECT_FALSE(owns_room(answer, nonce, "relay.example", id, instance(1)));
}

}  // namespace
}  // namespace zks::relay
