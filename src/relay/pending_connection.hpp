// SPDX-License-Identifier: MIT
//
// PendingConnection: a connection that has no place in a room yet. connection.cpp brings it as far as the
// upgrade, over TCP or TLS; from there on it is a carrier of whatever kind, which take_place() hands on to a
// Half or an ExitSocket, for an exit after the proof that it owns its room (registration.hpp).
//
// Executor: everything on the loop's thread. Lifetime: the loop owns it from start() until its work is over.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "carrier/carrier.hpp"
#include "relay/relay.hpp"
#include "relay/route.hpp"

namespace zks::relay {

// A slot among Options::max_handshakes, for as long as a connection has none in a room.
class HandshakeSlot {
 public:
  HandshakeSlot(RelayPtr relay, const Source& source, bool shared)
      : relay_(std::move(relay)), slot_(relay_->handshakes.take(source, shared)) {}
  Handshakes::Slot* operator->() { return &slot_; }

 private:
  RelayPtr relay_;  // outlives the slot
  Handshakes::Slot slot_;
};

class PendingConnection : public LiveSocket, public std::enable_shared_from_this<PendingConnection> {
 public:
  // An admitted request (admission.hpp).
  struct Request {
    Route route;
    std::string authority;
    Source source;
    std::optional<PairSlot> slot;  // of a ClientRoute
  };

  PendingConnection(RelayPtr relay, std::shared_ptr<Loop> loop, HandshakeSlot slot);

  // `work` is one of self's coroutines.
  static void start(const std::shared_ptr<PendingConnection>& self, asio::awaitable<void> work);
  asio::awaitable<void> take_place(carrier::CarrierPtr carrier, Request request);

  void shut_down() override { abort(); }
  void abort() override;

 protected:
  // For the first byte and the exit's answer; what is between has the stream's own deadline.
  void arm_deadline(std::chrono::milliseconds timeout);

  RelayPtr relay_;
  std::shared_ptr<Loop> loop_;
  HandshakeSlot slot_;
  asio::steady_timer deadline_;

 private:
  void over(const std::exception_ptr& failure);
  asio::awaitable<void> take_place(const ExitRoute& route);
  asio::awaitable<void> take_place(const PairRoute& route);
  asio::awaitable<bool> prove_ownership(ExitRoute route);

  carrier::CarrierPtr carrier_;  // from the upgrade on
  std::string authority_;
  std::optional<Source> source_;
};

}  // namespace zks::relay
