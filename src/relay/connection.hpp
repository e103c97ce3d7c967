// SPDX-License-Identifier: MIT
//
// Connection: an accepted TCP connection on its way to a place in a room: TLS, the request, the verdict
// (admission.hpp), the upgrade. What comes after it is the same for every carrier (pending_connection.hpp).
// One deadline runs over each of the two stages.
#pragma once

#include <memory>

#include <boost/asio/ip/tcp.hpp>

#include "relay/pending_connection.hpp"

namespace zks::relay {

// Serves `socket`, whose executor is the loop's, from the loop's thread.
void serve_connection(RelayPtr relay, std::shared_ptr<Loop> loop, asio::ip::tcp::socket socket,
                      const asio::ip::address& peer, HandshakeSlot slot);

}  // namespace zks::relay
