// SPDX-License-Identifier: MIT
//
// One control socket at a relay, from dial to end: registers the room by a signature over the relay's
// challenge, then reports each knock. control_socket.hpp decides when there is another one.
//
// Executor: one, given at construction. Lifetime: shared; its coroutines hold it, stop() ends them.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "carrier/dialler.hpp"
#include "carrier/relay_control.hpp"
#include "link/state_directory.hpp"

namespace zks::exit {

namespace asio = boost::asio;

struct ControlLineOptions {
  RelayUrl relay;
  RoomId room{};
  InstanceId instance{};
  PublicKey room_public{};
  carrier::DiallerPtr dialler;
};

class ControlLine : public std::enable_shared_from_this<ControlLine> {
 public:
  struct Handlers {
    std::function<Bytes(ByteView)> sign;  // Ed25519 signature (64 bytes) by the room key
    std::function<void(const ControlLine*)> on_registered;
    std::function<void(const PairId&)> on_knock;
    std::function<void(const ControlLine*, const Error&)> on_end;  // once, also after stop()
  };

  ControlLine(asio::any_io_executor executor, ControlLineOptions options, Handlers handlers);

  void start();
  void stop();
  carrier::Path path() const {
    return carrier_ ? carrier_->path() : carrier::Path{};
  }  // empty while it is dialled

 private:
  static asio::awaitable<void> run(std::shared_ptr<ControlLine> self);
  static asio::awaitable<void> ping(std::shared_ptr<ControlLine> self);
  carrier::Task<> serve();
  carrier::Task<> register_room();
  carrier::Task<> listen();
  void watch_silence();

  asio::any_io_executor executor_;
  ControlLineOptions options_;
  Handlers handlers_;
  carrier::CarrierPtr carrier_;
  asio::steady_timer ping_timer_;
  asio::steady_timer silence_;
  bool pinging_ = false;
  bool stopping_ = false;
};

}  // namespace zks::exit
