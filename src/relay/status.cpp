// SPDX-License-Identifier: MIT
#include "relay/status.hpp"

namespace zks::relay {

void Status::add(const Counters& loop) {
  for (std::size_t way = 0; way < forwarded.size(); ++way) {
    forwarded[way].messages += loop.forwarded[way].messages.get();
    forwarded[way].bytes += loop.forwarded[way].bytes.get();
  }
  connections += loop.connections.get();
  handshake_timeouts += loop.handshake_timeouts.get();
  tls_failures += loop.tls_failures.get();
  request_failures += loop.request_failures.get();
  registrations += loop.registrations.get();
  registrations_refused += loop.registrations_refused.get();
  knocks += loop.knocks.get();
  pairs_joined += loop.pairs.get();
  keys += loop.keys.get();
  for (std::size_t i = 0; i < answers.size(); ++i) answers[i] += loop.answers[i].get();
  for (std::size_t by = 0; by < closes.size(); ++by) {
    for (std::size_t i = 0; i < closes[by].size(); ++i) closes[by][i] += loop.closes[by][i].get();
  }
}

}  // namespace zks::relay
