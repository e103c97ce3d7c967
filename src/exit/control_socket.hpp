// SPDX-License-Identifier: MIT
//
// The exit's presence at one relay: a control socket (control_line.hpp), dialled again, with jitter, whenever
// it ends; and on request replaced by a new one every so often, new before old, for a relay behind a balancer
// that may have begun to send the room elsewhere. Next step: door.hpp.
//
// No knock is lost to a replacement: the old line is heard until the relay closes it (4409, where both ended
// at the same relay) or for kRetireWithin after the new one was registered.
//
// At most three lines at a time: the one that serves, its successor, and one that retires.
//
// Executor: one, given at construction. Lifetime: shared; stop() ends its coroutines.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "exit/control_line.hpp"
#include "exit/exit_status.hpp"
#include "tunnel/backoff.hpp"

namespace zks::exit {

struct ControlSocketOptions {
  RelayUrl relay;
  RoomId room{};
  InstanceId instance{};
  PublicKey room_public{};
  carrier::DiallerPtr dialler;
  std::chrono::milliseconds reconnect_max{15'000};
  std::chrono::milliseconds refresh_every{0};  // 0: a line serves until it is lost
};

class ControlSocket : public std::enable_shared_from_this<ControlSocket> {
 public:
  struct Handlers {
    std::function<Bytes(ByteView)> sign;  // Ed25519 signature (64 bytes) by the room key
    std::function<void()> on_registered;
    std::function<void(const PairId&)> on_knock;
    std::function<void(const Error&)> on_refused;  // final, before the first registration; nothing is retried
  };

  static constexpr std::chrono::seconds kRetireWithin{15};

  ControlSocket(asio::any_io_executor executor, ControlSocketOptions options, Handlers handlers);

  void start();
  void stop();
  RelayLinkStatus status() const;
  void network_changed() { pause_.cancel(); }  // the next attempt is made now

 private:
  using LinePtr = std::shared_ptr<ControlLine>;

  void dial_line();
  void on_registered(const ControlLine* line);
  void on_end(const ControlLine* line, const Error& error);
  void retire(LinePtr line);
  void refresh_later();
  void dial_later();
  void set_registered(bool registered);

  asio::any_io_executor executor_;
  ControlSocketOptions options_;
  Handlers handlers_;
  LinePtr serving_;   // registered
  LinePtr fresh_;     // not registered yet
  LinePtr retiring_;  // replaced, and still heard
  asio::steady_timer pause_;
  asio::steady_timer refresh_;
  asio::steady_timer retire_;
  bool was_registered_ = false;
  bool stopping_ = false;
  tunnel::Backoff backoff_;
  bool registered_ = false;
  std::chrono::steady_clock::time_point registered_changed_ = std::chrono::steady_clock::now();
  std::uint64_t registrations_ = 0;  // those of --control-refresh included
  std::string trouble_;              // the newest
  std::optional<std::chrono::steady_clock::time_point> trouble_at_;
};

}  // namespace zks::exit
