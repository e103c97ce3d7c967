// SPDX-License-Identifier: MIT
//
// A client and an exit joined in memory by a blind relay of the test: real handshake, records, sessions and
// streams, no socket. The relay may alter one message, which is how tampering is tested.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "carrier/memory.hpp"
#include "tunnel/handshake.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::test {

namespace asio = boost::asio;

// Sees every binary message on its way, in order, and may change it.
using Tamper = std::function<void(Direction, std::size_t index, Bytes& message)>;

class LanePair {
 public:
  explicit LanePair(asio::io_context& loop, Tamper tamper = {});
  ~LanePair();

  // Runs the handshake; tunnels are there afterwards on the sides that got that far. `on_open` serves the
  // exit's streams.
  void connect(std::function<void(tunnel::StreamPtr, session::Destination)> on_open = {});

  std::shared_ptr<tunnel::Tunnel> client;
  std::shared_ptr<tunnel::Tunnel> exit;
  bool welcomed = false;
  bool exit_had_session = false;  // an authentic first record reached the exit
  std::optional<Error> client_error;
  std::optional<Error> exit_error;
  std::shared_ptr<carrier::MemoryLink> client_link;
  std::shared_ptr<carrier::MemoryLink> exit_link;
  link::AccessLink link;
  std::optional<Key> exit_psk;  // instead of the link's, when the two are to differ

 private:
  static asio::awaitable<void> forward(carrier::Carrier* from, carrier::Carrier* to, Direction direction,
                                       Tamper tamper);
  static asio::awaitable<void> run_client(LanePair* self, carrier::CarrierPtr carrier,
                                          carrier::Paired paired);
  static asio::awaitable<void> run_exit(LanePair* self, carrier::CarrierPtr carrier, carrier::Paired paired);

  asio::io_context& loop_;
  Tamper tamper_;
  crypto::KeyPair exit_key_ = crypto::KeyPair::generate();
  crypto::KeyPair client_key_ = crypto::KeyPair::generate();
  std::function<void(tunnel::StreamPtr, session::Destination)> on_open_;
  carrier::CarrierPtr relay_client_;
  carrier::CarrierPtr relay_exit_;
};

}  // namespace zks::test
