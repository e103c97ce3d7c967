// SPDX-License-Identifier: MIT
#include "relay/rooms.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include "relay/mark_ledger.hpp"
#include "relay/registration.hpp"

namespace zks::relay {
namespace {

class FakeExit final : public RegisteredExit {
 public:
  void knock(const PairId& pair) override { knocks.push_back(pair); }
  void replaced() override { was_replaced = true; }
  std::vector<PairId> knocks;
  bool was_replaced = false;
};

RoomId room(std::uint8_t n) {
  return RoomId{n};
}
InstanceId instance(std::uint8_t n) {
  return InstanceId{n};
}

TEST(Rooms, KnocksInTurn) {
  Rooms rooms(10, 10);
  std::vector<std::shared_ptr<FakeExit>> exits;
  for (std::uint8_t i = 0; i < 3; ++i) {
    exits.push_back(std::make_shared<FakeExit>());
    ASSERT_TRUE(rooms.add_exit(room(1), instance(i), exits.back()));
  }
  for (std::size_t turn = 0; turn < 6; ++turn) {
    const auto order = rooms.exits(room(1), std::nullopt);
    ASSERT_EQ(order.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(order[i].lock(), exits[(turn + i) % 3]);
  }
  const auto named = rooms.exits(room(1), instance(2));
  ASSERT_EQ(named.size(), 1U);
  EXPECT_EQ(named[0].lock(), exits[2]);
  EXPECT_TRUE(rooms.exits(room(1), instance(9)).empty());
  EXPECT_TRUE(rooms.exits(room(2), std::nullopt).empty());
}

TEST(Rooms, AnInstanceReplacesItself) {
  Rooms rooms(10, 10);
  const auto old = std::make_shared<FakeExit>();
  const auto fresh = std::make_shared<FakeExit>();
  EXPECT_EQ(rooms.add_exit(room(1), instance(1), old).value(), nullptr);
  EXPECT_EQ(rooms.add_exit(room(1), instance(1), fresh).value(), old);
  rooms.remove_exit(room(1), instance(1), old.get());  // too late: it is not the one registered
  EXPECT_EQ(rooms.exits(room(1), std::nullopt).at(0).lock(), fresh);
  rooms.remove_exit(room(1), instance(1), fresh.get());
  EXPECT_TRUE(rooms.exits(room(1), std::nullopt).empty());
  EXPECT_EQ(rooms.rooms(), 0U);
}

TEST(Rooms, HoldsEightInstances) {
  Rooms rooms(100, 10);
  const auto exit = std::make_shared<FakeExit>();
  for (std::uint8_t i = 0; i < Rooms::kMaxInstances; ++i)
    ASSERT_TRUE(rooms.add_exit(room(1), instance(i), exit));
  EXPECT_EQ(rooms.add_exit(room(1), instance(100), exit).error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(rooms.add_exit(room(1), instance(3), exit)) << "one of the eight";
  EXPECT_TRUE(rooms.add_exit(room(2), instance(100), exit));
}

TEST(Rooms, BoundsPairsByRoomAndInAll) {
  Rooms rooms(3, 2);
  std::vector<PairSlot> slots;
  slots.push_back(rooms.reserve_pair(room(1)).value());
  slots.push_back(rooms.reserve_pair(room(1)).value());
  EXPECT_EQ(rooms.reserve_pair(room(1)).error().detail, 429);
  slots.push_back(rooms.reserve_pair(room(2)).value());
  EXPECT_EQ(rooms.reserve_pair(room(3)).error().detail, 503);
  EXPECT_EQ(rooms.pairs(), 3U);
  slots.pop_back();
  EXPECT_TRUE(rooms.reserve_pair(room(3)));
  slots.clear();
  EXPECT_EQ(rooms.pairs(), 0U);
  EXPECT_EQ(rooms.rooms(), 0U);
}

TEST(Rooms, ARegistrationTooManyLeavesTheRelayFull) {
  Rooms rooms(2, 2);
  const auto exit = std::make_shared<FakeExit>();
  EXPECT_FALSE(rooms.exits_full());
  ASSERT_TRUE(rooms.add_exit(room(1), instance(1), exit));
  ASSERT_TRUE(rooms.add_exit(room(2), instance(1), exit));
  EXPECT_TRUE(rooms.exits_full());
  ASSERT_TRUE(rooms.add_exit(room(2), instance(1), exit));
  rooms.remove_exit(room(2), instance(1), exit.get());
  EXPECT_FALSE(rooms.exits_full());
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
