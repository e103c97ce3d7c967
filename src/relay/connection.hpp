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
  HandshakeSlot(RelayPtr relay, const Source& source, bool shared)
      : relay_(std::move(relay)), place_(relay_->handshakes.take(source, shared)) {}
  Handshakes::Place* operator->() { return &place_; }

 private:
  RelayPtr relay_;  // outlives the place
  Handshakes::Place place_;
};

// Serves `socket`, whose executor is the loop's, from the loop's thread.
void serve_connection(RelayPtr relay, std::shared_ptr<Loop> loop, asio::ip::tcp::socket socket,
                      const asio::ip::address& peer, HandshakeSlot slot);

}  // namespace zks::relay
