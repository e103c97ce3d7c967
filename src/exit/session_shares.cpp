// SPDX-License-Identifier: MIT
#include "exit/session_shares.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "exit/shares.hpp"

namespace zks::exit {
namespace {

class Weights {
 public:
  Weights(const std::vector<SessionUsage>& sessions, const tunnel::Claim& newcomer) : newcomer_(newcomer) {
    for (const SessionUsage& session : sessions) {
      invites_.add(session.claim.invite);
      devices_.add(session.claim);
    }
    share_ = sessions.size() / (invites_.owners() + (invites_.of(newcomer.invite) == 0 ? 1 : 0));
  }

  std::size_t of_device(const tunnel::Claim& claim) const { return devices_.of(claim); }

  // Above 0: whose session it is holds more than the newcomer will, and than its share; 0: as many.
  int against_newcomer(const tunnel::Claim& claim) const {
    const bool same = claim.invite == newcomer_.invite;
    const std::size_t theirs = same ? of_device(claim) : invites_.of(claim.invite);
    const std::size_t newcomers = 1 + (same ? of_device(newcomer_) : invites_.of(newcomer_.invite));
    if (theirs < newcomers) return -1;
    const bool within = !same && theirs <= share_;
    return theirs == newcomers || within ? 0 : 1;
  }

  // As in the header; 0: it stays.
  int turn_of(const SessionUsage& session) const {
    const int weight = against_newcomer(session.claim);
    const bool own = session.claim == newcomer_;
    if (session.orphaned) return weight > 0 || own ? 1 : weight == 0 ? 3 : 0;
    if (weight <= 0) return 0;
    return of_device(session.claim) > 1 ? 2 : 4;
  }

 private:
  const tunnel::Claim& newcomer_;
  std::size_t share_;  // of an invite: where a newcomer's holds less, another's holds more (sessions.pml)
  Shares<InviteId> invites_;
  Shares<tunnel::Claim> devices_;
};

}  // namespace

std::optional<std::size_t> session_that_gives_way(const std::vector<SessionUsage>& sessions,
                                                  const tunnel::Claim& newcomer) {
  const Weights weights(sessions, newcomer);
  const std::size_t count = sessions.size();
  std::optional<std::size_t> out;
  std::tuple<int, std::size_t, std::size_t> best;  // the lowest: turn, lightness of the device, place
  for (std::size_t i = 0; i < count; ++i) {
    const int turn = weights.turn_of(sessions[i]);
    if (turn == 0) continue;
    const std::size_t lightness = count - weights.of_device(sessions[i].claim);
    const std::tuple rank(turn, lightness, sessions[i].orphaned ? i : count - i);
    if (!out || rank < best) out = i, best = rank;
  }
  return out;
}

std::optional<std::size_t> orphan_that_gives_way(const std::vector<SessionUsage>& sessions) {
  std::map<InviteId, std::size_t> bytes;
  for (const SessionUsage& session : sessions) {
    if (session.orphaned) bytes[session.claim.invite] += session.memory_bytes;
  }
  if (bytes.empty()) return std::nullopt;
  const auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  const InviteId most = std::max_element(bytes.begin(), bytes.end(), fewer)->first;
  const auto oldest = std::find_if(sessions.begin(), sessions.end(), [&](const SessionUsage& session) {
    return session.orphaned && session.claim.invite == most;
  });
  return static_cast<std::size_t>(oldest - sessions.begin());
}

}  // namespace zks::exit
