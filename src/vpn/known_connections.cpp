// SPDX-License-Identifier: MIT
#include "vpn/known_connections.hpp"

namespace zks::vpn {

void KnownConnections::begin(const Pair& pair) {
  const auto [at, is_new] = entries_.try_emplace(pair);
  if (!is_new && at->second.live == 0) ended_.erase(at->second.turn);
  ++at->second.live;
}

void KnownConnections::end(const Pair& pair, TimePoint now) {
  const auto at = entries_.find(pair);
  if (at == entries_.end() || at->second.live == 0 || --at->second.live > 0) return;
  at->second.used = now;
  at->second.turn = ended_.insert(ended_.end(), pair);
  forget_old(now);
}

bool KnownConnections::has(const Pair& pair, TimePoint now) {
  const auto at = entries_.find(pair);
  if (at == entries_.end()) return false;
  if (at->second.live > 0) return true;
  forget_old(now);
  if (!entries_.contains(pair)) return false;
  at->second.used = now;
  ended_.splice(ended_.end(), ended_, at->second.turn);
  return true;
}

bool KnownConnections::came_before(const Pair& pair, std::uint32_t sequence) {
  const auto at = strays_.find(pair);
  if (at != strays_.end() && at->second == sequence) {
    strays_.erase(at);
    return true;
  }
  if (at == strays_.end() && strays_.size() >= kMaxStrays) strays_.erase(strays_.begin());
  strays_[pair] = sequence;
  return false;
}

void KnownConnections::forget_old(TimePoint now) {
  while (!ended_.empty()) {
    const auto at = entries_.find(ended_.front());
    if (ended_.size() <= kMaxEnded && now - at->second.used < kEndedKept) return;
    entries_.erase(at);
    ended_.pop_front();
  }
}

}  // namespace zks::vpn
