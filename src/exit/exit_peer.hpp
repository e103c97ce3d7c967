// SPDX-License-Identifier: MIT
//
// The exit peer: is present at its relays, lets in the clients that its invites allow, and stops. Its parts:
// control_socket.hpp for each relay, door.hpp for lanes on their way, session_server.hpp for the sessions of
// clients, invite_store.hpp for invites. Their bounds are written down there.
//
// Executor: one, given at construction. Lifetime: shared; stop() ends its coroutines.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "exit/control_socket.hpp"
#include "exit/door.hpp"
#include "exit/exit_status.hpp"
#include "exit/invite_store.hpp"
#include "exit/scarce_memory.hpp"
#include "exit/session_server.hpp"

namespace zks::exit {

struct ExitPeerOptions {
  std::vector<RelayUrl> relays;
  carrier::DiallerPtr dialler;
  SessionServerOptions sessions;
  std::chrono::milliseconds control_refresh{0};  // control_socket.hpp
  std::chrono::milliseconds reconnect_max{15'000};
};

class ExitPeer : public std::enable_shared_from_this<ExitPeer> {
 public:
  struct Handlers {
    std::function<void(const RelayUrl&)> on_registered;
    std::function<void(const std::optional<Error>&)>
        on_stopped;  // once; with an error when no relay takes us
  };

  ExitPeer(asio::any_io_executor executor, ExitPeerOptions options, link::ExitIdentity identity,
           InviteStore invites, std::shared_ptr<GuestResolver> resolver, Handlers handlers);

  void start();
  // No new sessions and streams; what runs gets 5 s.
  void stop();
  // Lanes are probed, and pauses before the next attempt at a relay end.
  void network_changed();
  void set_limits(ExitLimits limits) { sessions_->set_limits(std::move(limits)); }
  ExitStatus status() const;

 private:
  void add_relay(const RelayUrl& relay);
  void on_knock(const RelayUrl& relay, const PairId& pair);
  static carrier::Task<> admit(std::weak_ptr<ExitPeer> weak, tunnel::Claim claim);
  Door::Handlers door_handlers();
  void look_after_invites();
  void finish();

  asio::any_io_executor executor_;
  ExitPeerOptions options_;
  link::ExitIdentity identity_;
  InstanceId instance_ = random_array<8>();
  InviteStore invites_;
  Handlers handlers_;
  std::shared_ptr<SessionServer> sessions_;
  std::shared_ptr<Door> door_;
  std::optional<ScarceMemory> memory_;
  std::vector<std::shared_ptr<ControlSocket>> controls_;
  std::size_t refused_ = 0;  // relays that will never take us
  asio::steady_timer invite_timer_;
  asio::steady_timer stop_timer_;
  bool stopping_ = false;
  ExitTally tally_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace zks::exit
