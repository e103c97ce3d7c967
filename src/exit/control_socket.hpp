// SPDX-License-Identifier: MIT
//
// The exit's control socket at one relay: registers the room by a signature over the relay's challenge, then
// reports each knock. Dialled again, with jitter, whenever it ends. Next step: ExitPeer::serve_pair().
//
// Executor: one, given at construction. Lifetime: shared; stop() ends its coroutines.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "carrier/dial.hpp"
#include "carrier/relay_control.hpp"
#include "exit/exit_status.hpp"
#include "link/state_directory.hpp"

namespace zks::exit {

namespace asio = boost::asio;

struct ControlSocketOptions {
  RelayUrl relay;
  RoomId room{};
  InstanceId instance{};
  PublicKey room_public{};
  carrier::DialOptions dial;
  std::chrono::milliseconds reconnect_max{15'000};
};

class ControlSocket : public std::enable_shared_from_this<ControlSocket> {
 public:
  struct Handlers {
    std::function<Bytes(ByteView)> sign;  // Ed25519 signature (64 bytes) by the room key
    std::function<void()> on_registered;
    std::function<void(const PairId&)> on_knock;
    std::function<void(const Error&)> on_refused;  // final, before the first registration; nothing is retried
  };

  ControlSocket(asio::any_io_executor executor, ControlSocketOptions options, Handlers handlers);

  void start();
  void stop();
  RelayLinkStatus status() const;
  void network_changed() { pause_.cancel(); }  // the next attempt is made now

 private:
  static asio::awaitable<void> run(std::shared_ptr<ControlSocket> self);
  static asio::awaitable<void> ping(std::shared_ptr<ControlSocket> self);
  carrier::Task<> serve_once();
  carrier::Task<> register_room();
  carrier::Task<> listen();
  void watch_silence();
  void set_registered(bool registered);

  asio::any_io_executor executor_;
  ControlSocketOptions options_;
  Handlers handlers_;
  carrier::CarrierPtr carrier_;
  asio::steady_timer pause_;
  asio::steady_timer ping_timer_;
  asio::steady_timer silence_;
  bool pinging_ = false;
  bool was_registered_ = false;
  bool stopping_ = false;
  int failures_ = 0;
  bool registered_ = false;
  std::chrono::steady_clock::time_point registered_changed_ = std::chrono::steady_clock::now();
  std::uint64_t registrations_ = 0;
  std::string trouble_;  // the newest
  std::optional<std::chrono::steady_clock::time_point> trouble_at_;
};

}  // namespace zks::exit
