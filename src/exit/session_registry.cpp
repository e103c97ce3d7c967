// SPDX-License-Identifier: MIT
#include "exit/session_registry.hpp"

#include <algorithm>

#include <malloc.h>

namespace zks::exit {
namespace {

// Ending a session that holds less would not help.
constexpr std::size_t kWorthEnding = 256 * 1024;
constexpr const char* kNoMemory = "the exit has no memory left; try later";

}  // namespace

ClientSessionPtr SessionRegistry::find(const SessionId& id, const tunnel::Claim& claim) const {
  const auto found = std::find_if(sessions_.begin(), sessions_.end(), [&](const ClientSessionPtr& session) {
    return same_device(session->claim, claim) && session->tunnel->id() == id;
  });
  return found == sessions_.end() ? nullptr : *found;
}

bool SessionRegistry::has_session_of(const tunnel::Claim& claim) const {
  return std::any_of(sessions_.begin(), sessions_.end(), [&claim](const ClientSessionPtr& session) {
    return same_device(session->claim, claim);
  });
}

void SessionRegistry::orphaned(const ClientSessionPtr& session) {
  const auto found = std::find(sessions_.begin(), sessions_.end(), session);
  if (found != sessions_.end()) sessions_.splice(sessions_.end(), sessions_, found);
}

std::vector<SessionUsage> SessionRegistry::usage() const {
  std::vector<SessionUsage> out;
  for (const auto& session : sessions_) {
    const bool orphaned = session->tunnel->orphaned();
    out.push_back({session->claim, orphaned, orphaned ? session->tunnel->memory_bytes() : 0});
  }
  return out;
}

// Its on_end takes it out.
void SessionRegistry::end(std::size_t index, const char* why) {
  const ClientSessionPtr session = *std::next(sessions_.begin(), static_cast<std::ptrdiff_t>(index));
  session->tunnel->end(make_error(ErrorKind::kLimit, why));
}

bool SessionRegistry::make_room(const tunnel::Claim& newcomer) {
  const auto index = session_that_gives_way(usage(), newcomer);
  if (index) end(*index, "its place was needed by somebody who has fewer");
  return index.has_value();
}

void SessionRegistry::bound_orphans(std::size_t most_bytes) {
  for (;;) {
    const auto sessions = usage();
    std::size_t bytes = 0;
    for (const SessionUsage& session : sessions) bytes += session.memory_bytes;
    if (bytes <= most_bytes) return;
    const auto index = orphan_that_gives_way(sessions);
    if (!index) return;
    end(*index, "sessions without a lane held too much memory");
  }
}

void SessionRegistry::relieve_memory() {
  ClientSessionPtr heaviest;
  std::size_t most = kWorthEnding;
  for (const auto& session : sessions_) {
    const std::size_t bytes = session->tunnel->memory_bytes();
    if (bytes >= most) {
      most = bytes;
      heaviest = session;
    }
  }
  if (!heaviest) return;
  heaviest->tunnel->reset_streams(session::ResetCode::kLimit);
  heaviest->tunnel->dismiss(session::GoawayCode::kShutdown, kNoMemory);
  ::malloc_trim(0);
}

bool SessionRegistry::take_listener(const tunnel::Claim& claim, const Listeners::Endpoint& endpoint) {
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const ClientSessionPtr& session) {
    return same_device(session->claim, claim) && session->tunnel->orphaned() &&
           session->listeners->close_at(endpoint);
  });
}

}  // namespace zks::exit
