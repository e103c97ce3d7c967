// SPDX-License-Identifier: MIT
//
// ExitSocket: a registered exit's control socket. It carries knocks to the exit; what comes back is pings
// only.
#pragma once

#include <memory>

#include "relay/relay.hpp"
#include "relay/socket.hpp"

namespace zks::relay {

class ExitSocket final : public Socket, public RegisteredExit {
 public:
  ExitSocket(RelayPtr relay, std::shared_ptr<Loop> loop, carrier::CarrierPtr carrier, const RoomId& room,
             const InstanceId& instance);

  // Starts and registers for `source`: `registered` is the first text, then knocks follow. Closes with 4403
  // when the room has all its instances, with kGaveWay without a place; an older socket of the same instance
  // closes with 4409.
  static void start_registered(const std::shared_ptr<ExitSocket>& exit, const Source& source);

  void knock(const PairId& pair) override;
  void replaced(const std::shared_ptr<RegisteredExit>& by) override;
  void give_way() override;

 private:
  std::uint16_t on_control(const carrier::Control& message) override;
  asio::awaitable<std::uint16_t> on_binary(carrier::Buffer message) override;
  asio::awaitable<void> before_read() override;
  void on_sent(std::size_t bytes) override;
  void on_key(std::uint64_t epoch) override;
  void on_ending(std::uint16_t code, bool ours) override;

  RelayPtr relay_;
  const RoomId room_;
  const InstanceId instance_;
  std::weak_ptr<RegisteredExit> successor_;
};

}  // namespace zks::relay
