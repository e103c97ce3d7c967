// SPDX-License-Identifier: MIT
//
// The exit's sessions: which one a lane belongs to, which one gives way to a newcomer, and what those without
// a lane, the orphans, may hold. session_shares.hpp judges; session_server.hpp makes and serves them.
//
// Bounds: none of its own; whoever adds asks make_room() first. Executor: one. Lifetime: its owner's.
#pragma once

#include <list>
#include <vector>

#include "exit/client_session.hpp"
#include "exit/session_shares.hpp"

namespace zks::exit {

class SessionRegistry {
 public:
  // Null: this device has no session of that name.
  ClientSessionPtr find(const SessionId& id, const tunnel::Claim& claim) const;
  bool has_session_of(const tunnel::Claim& claim) const;

  void add(ClientSessionPtr session) { sessions_.push_back(std::move(session)); }
  // In a tunnel's on_end.
  void remove(const ClientSessionPtr& session) { sessions_.remove(session); }
  // It lost its last lane.
  void orphaned(const ClientSessionPtr& session);

  // Ends one session for `newcomer`. False: that has most itself, and is to be refused.
  bool make_room(const tunnel::Claim& newcomer);
  // Ends orphans until all of them hold no more than `most_bytes`. Sockets at the exit's side still fill
  // their buffers, so this is asked again and again.
  void bound_orphans(std::size_t most_bytes);
  // Ends the session that holds most, if that is worth it: its memory is free at once. Its client is told,
  // and may begin anew.
  void relieve_memory();
  // Closes the listener at `endpoint` of an orphan of the same device: a client that was killed and started
  // again finds it taken by what it left behind.
  bool take_listener(const tunnel::Claim& claim, const Listeners::Endpoint& endpoint);

  std::size_t size() const { return sessions_.size(); }
  bool empty() const { return sessions_.empty(); }
  // Sessions may end while these are gone through.
  std::vector<ClientSessionPtr> all() const { return {sessions_.begin(), sessions_.end()}; }

 private:
  std::vector<SessionUsage> usage() const;
  void end(std::size_t index, const char* why);

  std::list<ClientSessionPtr> sessions_;  // who became an orphan last stands last
};

}  // namespace zks::exit
