// SPDX-License-Identifier: MIT
//
// Connection: an accepted TCP connection on its way to a place in a room: TLS, the request, the verdict
// (admission.hpp), the upgrade, and for an exit the proof that it owns its room (registration.hpp). Then it
// hands the carrier on to a Half or an ExitSocket and is over. One deadline runs over each of the two stages.
#pragma once

#include <memory>

#include <boost/asio/ip/tcp.hpp>

#include "relay/relay.hpp"

namespace zks::relay {

// A place among Options::max_handshakes, for as long as a connection has none in a room.
class HandshakeSlot {
 public:
  explicit HandshakeSlot(RelayPtr relay) : relay_(std::move(relay)) { ++relay_->handshakes; }
  HandshakeSlot(HandshakeSlot&&) = default;
  HandshakeSlot& operator=(HandshakeSlot&&) = delete;
  ~HandshakeSlot() {
    if (relay_) --relay_->handshakes;
  }

 private:
  RelayPtr relay_;
};

// Serves `socket`, whose executor is the loop's, from the loop's thread.
void serve_connection(RelayPtr relay, std::shared_ptr<Loop> loop, asio::ip::tcp::socket socket,
                      HandshakeSlot slot);

}  // namespace zks::relay
