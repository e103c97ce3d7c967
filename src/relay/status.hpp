// SPDX-License-Identifier: MIT
//
// How a relay is doing, as plain numbers: Server::status() makes it when it is asked, from the registry and
// the counters of all loops. apps/tunnel-relay/metrics.cpp writes it.
#pragma once

#include <chrono>

#include "relay/counters.hpp"

namespace zks::relay {

struct Status {
  std::size_t rooms = 0;  // with an exit or a pair
  std::size_t exits = 0;
  std::size_t pairs = 0;  // clients that still wait for an exit included
  std::size_t max_pairs = 0;
  std::size_t handshakes = 0;            // connections that are not in a room yet
  std::uint64_t handshakes_evicted = 0;  // gave way to newer ones
  std::chrono::steady_clock::duration uptime{};

  struct Forwarded {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };
  std::array<Forwarded, 2> forwarded;  // by Counters::Direction
  std::uint64_t connections = 0;
  std::uint64_t handshake_timeouts = 0;
  std::uint64_t tls_failures = 0;
  std::uint64_t request_failures = 0;
  std::uint64_t registrations = 0;
  std::uint64_t registrations_refused = 0;
  std::uint64_t knocks = 0;
  std::uint64_t pairs_joined = 0;
  std::uint64_t keys = 0;
  std::array<std::uint64_t, kCountedStatuses.size() + 1> answers{};
  std::array<std::array<std::uint64_t, kCountedCodes.size() + 1>, 2> closes{};

  void add(const Counters& loop);
};

}  // namespace zks::relay
