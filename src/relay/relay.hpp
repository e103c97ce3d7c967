// SPDX-License-Identifier: MIT
//
// What all connections of one relay share. Every member is thread-safe or constant after the start.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "relay/allow_list.hpp"
#include "relay/handshakes.hpp"
#include "relay/join_limiter.hpp"
#include "relay/loop.hpp"
#include "relay/options.hpp"
#include "relay/rooms.hpp"
#include "relay/tls_server.hpp"

namespace zks::relay {

struct Relay {
  explicit Relay(Options from)
      : options(std::move(from)),
        rooms({options.max_pairs, options.max_pairs_per_source, options.max_pairs_per_room}),
        joins(options.join_rate),
        handshakes(options.max_handshakes, options.max_handshakes_per_source),
        allowed(options.allow_rooms_file) {
    if (options.tls) tls = std::make_unique<TlsServer>(*options.tls);
  }

  const Options options;
  Rooms rooms;
  JoinLimiter joins;
  Handshakes handshakes;
  AllowList allowed;
  std::unique_ptr<TlsServer> tls;  // null: plaintext
  std::vector<std::shared_ptr<Loop>> loops;
  const std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

using RelayPtr = std::shared_ptr<Relay>;

}  // namespace zks::relay
