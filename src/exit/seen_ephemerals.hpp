// SPDX-License-Identifier: MIT
//
// The ephemeral keys of message 1s that opened and named an invite: one that comes again was recorded, and is
// played by a relay that repeats its key. It is refused before anything is computed. Sans-IO.
//
// Bound: kMaxSeen keys, some 100 bytes each; the oldest one of the invite that has most gives way. So an
// invite keeps the newest 64 of its own whatever the others do, and one who fills the memory forgets his own.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/names.hpp"

namespace zks::exit {

class SeenEphemerals {
 public:
  static constexpr std::size_t kMaxSeen = 65'536;

  explicit SeenEphemerals(std::size_t max_seen = kMaxSeen) : max_seen_(max_seen) {}

  bool contains(const PublicKey& ephemeral) const { return all_.contains(ephemeral); }

  void remember(const InviteId& invite, const PublicKey& ephemeral) {
    if (!all_.insert(ephemeral).second) return;
    by_invite_[invite].push_back(ephemeral);
    if (all_.size() <= max_seen_) return;
    const auto fewer = [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); };
    const auto most = std::max_element(by_invite_.begin(), by_invite_.end(), fewer);
    all_.erase(most->second.front());
    most->second.pop_front();
    if (most->second.empty()) by_invite_.erase(most);
  }

  std::size_t size() const { return all_.size(); }

 private:
  std::size_t max_seen_;
  std::set<PublicKey> all_;  // ordered: who chooses keys can't choose how long looking one up takes
  std::map<InviteId, std::deque<PublicKey>> by_invite_;
};

}  // namespace zks::exit
