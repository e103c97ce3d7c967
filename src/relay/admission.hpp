// SPDX-License-Identifier: MIT
//
// What is decided about a request before the upgrade, with an HTTP status: it costs the relay a handshake,
// and no WebSocket. After it comes connection.hpp's upgrade.
#pragma once

#include <optional>
#include <string>

#include "carrier/accept.hpp"
#include "relay/own_names.hpp"
#include "relay/relay.hpp"
#include "relay/route.hpp"
#include "relay/source.hpp"

namespace zks::relay {

struct Verdict {
  unsigned status = 101;         // 101: upgrade; otherwise answer this
  std::string body;              // of an answer
  std::optional<PairSlot> slot;  // for an admitted ClientRoute
};

// 404 for what the relay does not serve, 200 for /healthz, 403 for a room that is not allowed, 414 for a long
// target, 421 for a registration under a name that is not this relay's (own_names.hpp), 429 when the source
// joins too often or has its share, or the room is full, 503 when the relay is full. An exit's half of a pair
// that waits is no join: it belongs to a client that was counted. Any other pair id counts as one, and is
// 410: nothing tells a made-up id from one that was used, or of another room.
struct Ends {
  Source source;  // of the request (client_address.hpp)
  asio::ip::address local;
  X509* certificate = nullptr;  // ours; null without TLS
};

Verdict admit(Relay& relay, const carrier::UpgradeRequest& request, const Route& route, const Ends& ends);

}  // namespace zks::relay
