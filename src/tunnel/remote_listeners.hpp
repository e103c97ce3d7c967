// SPDX-License-Identifier: MIT
//
// The client's reverse forwards: which listeners it wants at the exit, and asking for them in each session,
// and again after a while where they were refused. tunnel.hpp carries the question, remote_listener.hpp hears
// what becomes of it.
//
// Bound: as many as the user named. Executor: the client's. Lifetime: shared; a timer holds it weakly.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "tunnel/remote_listener.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::tunnel {

class RemoteListeners : public std::enable_shared_from_this<RemoteListeners> {
 public:
  // After a refusal: who had the address may have let go, or the operator changed the rules.
  static constexpr std::chrono::seconds kAskAgain{15};

  explicit RemoteListeners(const asio::any_io_executor& executor) : ask_again_(executor) {}

  // From now on, until clear().
  void add(std::shared_ptr<RemoteListener> listener);
  // The exit listens no more.
  void clear();

  // The session has a lane, for the first time or again.
  void session_up(std::shared_ptr<Tunnel> session);
  // It ended, or the exit does not know it any more, and its listeners are gone.
  void session_over();
  // What the session says of listeners.
  void on(const session::ListeningEvent& event);
  void on(const session::UnlistenEvent& event);
  void on_connection(session::ListenerId id, StreamPtr stream, session::Destination from);

 private:
  struct Wanted {
    std::shared_ptr<RemoteListener> listener;
    std::optional<session::ListenerId> id;  // in this session; none: it is to be asked for
  };

  Wanted* find(session::ListenerId id);
  void ask();
  void refused(RemoteListener& listener, session::ResetCode code);

  std::vector<Wanted> wanted_;
  std::shared_ptr<Tunnel> session_;  // from its first WELCOME to its end
  asio::steady_timer ask_again_;
};

}  // namespace zks::tunnel
