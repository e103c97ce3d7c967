// SPDX-License-Identifier: MIT
//
// Half: one of a pair's two sockets, the client's or the exit's. A client's half waits for an exit to claim
// it; from then on each half hands its binary messages to the other one and, if that one is not writing
// already, writes them for it before it reads on: a message is opened and sealed while it is in the core's
// cache. One of a direction is on its way; until it went, the sender is not read from. Both halves are on one
// loop (connection.cpp moves the exit's). The messages themselves are never looked at.
//
// The exit's half decides when the pair gets a new key. It sends one only after both ends have answered the
// one before. From then on both seal in that epoch, so every record of an older epoch is ahead of the new
// key, in either direction, and its receiver may forget the older one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/token_bucket.hpp"
#include "relay/key_rotation.hpp"
#include "relay/mark_ledger.hpp"
#include "relay/relay.hpp"
#include "relay/socket.hpp"

namespace zks::relay {

class Half final : public Socket, private Backlog::Pair {
 public:
  static constexpr std::uint64_t kProtocolVersion = 1;

  Half(RelayPtr relay, std::shared_ptr<Loop> loop, carrier::CarrierPtr carrier);
  ~Half() override;

  // The client's half: starts, and knocks on `exits` one after the other until one claims it.
  static void start_waiting(const std::shared_ptr<Half>& client, PairSlot slot, const RoomId& room,
                            std::vector<InstanceId> exits);

  // Makes a pair of the claimed `client` and the exit's half, which starts here.
  static void start_pair(const std::shared_ptr<Half>& client, const std::shared_ptr<Half>& exit);

 private:
  // What both halves share from the moment they are a pair.
  struct Join {
    std::shared_ptr<Half> other;
    std::shared_ptr<TokenBucket> pace;  // --pair-rate, of both directions; null: no rate
    std::string paired;                 // the text that begins the pair
  };

  static asio::awaitable<void> await_exit(std::shared_ptr<Half> self, RoomId room, PairId pair,
                                          std::vector<InstanceId> exits);

  void join(Join with);
  void deliver(carrier::Buffer message);  // from the other half
  void delivered();                       // the other half wrote one of ours
  void other_ended(std::uint16_t code);
  void count_towards_key(std::size_t bytes);
  std::uint16_t on_key_seen(std::uint64_t epoch);
  void key_answered();

  // The exit's half stands for both.
  std::size_t held_bytes() const override;
  void give_way() override;

  std::uint16_t on_control(const carrier::Control& message) override;
  asio::awaitable<std::uint16_t> on_binary(carrier::Buffer message) override;
  asio::awaitable<void> before_read() override;
  void on_sent(std::size_t bytes) override;
  void on_key(std::uint64_t epoch) override;
  void on_ending(std::uint16_t code, bool ours) override;

  RelayPtr relay_;                // outlives slot_
  std::optional<PairSlot> slot_;  // the client's half holds the pair's place
  std::optional<PairId> waiting_under_;
  net::Wakeup claimed_;

  std::shared_ptr<Half> other_;  // from join() until the end: the two do not keep each other alive
  std::shared_ptr<TokenBucket> pace_;
  bool forwarding_ = false;  // the other half has a message of ours
  std::chrono::steady_clock::time_point resume_reading_;
  MarkLedger ledger_;
  std::optional<KeyRotation> rotation_;      // the exit's half has it
  std::optional<std::uint64_t> unseen_key_;  // the epoch that was sent and not answered
};

}  // namespace zks::relay
