// SPDX-License-Identifier: MIT
//
// Which session gives way when an exit has all that it may have: those of whoever holds most, by invite and
// within an invite by device. Sans-IO; session_registry.hpp has the sessions.
#pragma once

#include <optional>
#include <vector>

#include "tunnel/handshake.hpp"

namespace zks::exit {

struct SessionUsage {
  tunnel::Claim claim;
  bool orphaned = false;
  std::size_t memory_bytes = 0;
};

// The index of the session that makes room for one more of `newcomer`. `sessions`: who became an orphan last,
// or came last, stands last. In this order, and within each the device with most sessions first, where an
// invite that holds no more than its share (all sessions by the invites that hold one, or want one) counts as
// one that holds as many as the newcomer's:
//
//   1. the oldest orphan of an invite that holds more than the newcomer's will, or of such a device of the
//      newcomer's own invite, or of the newcomer
//   2. the newest session of such an invite or device, where the device has more than one
//   3. the oldest orphan of an invite or device that holds as many as the newcomer's will
//   4. the newest session of an invite that holds more than the newcomer's will
//
// Nothing: the newcomer is the heaviest, and is refused.
std::optional<std::size_t> session_that_gives_way(const std::vector<SessionUsage>& sessions,
                                                  const tunnel::Claim& newcomer);

// The oldest orphan of the invite whose orphans hold most memory; nothing when there are no orphans.
std::optional<std::size_t> orphan_that_gives_way(const std::vector<SessionUsage>& sessions);

}  // namespace zks::exit
