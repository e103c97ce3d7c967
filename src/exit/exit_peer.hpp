// SPDX-License-Identifier: MIT
//
// The exit peer: gives each client that comes through the door a session whose streams become TCP
// connections. Before it: control_socket.hpp and door.hpp. Its parts: session_registry.hpp for the sessions,
// stream_server.hpp for their streams.
//
// Bounds: door.hpp; max_sessions sessions, orphans included: the oldest orphan makes room; orphans hold at
// most orphan_memory_bytes of stream data together; what one session may hold is in session/session.hpp;
// connects under way: stream_server.hpp; flows: udp_flow.hpp; DNS queries and pings: session_requests.hpp,
// echo_host.hpp.
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
#include "exit/guests.hpp"
#include "exit/scarce_memory.hpp"
#include "exit/session_registry.hpp"
#include "exit/stream_server.hpp"
#include "exit/udp_flow.hpp"
#include "tunnel/heap_trim.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::exit {

// What may change while it runs.
struct ExitLimits {
  std::uint64_t max_streams = 2048;  // of a session, from its beginning on
  std::uint64_t max_flows = 1024;    // UDP flows of a session, likewise; 0: no UDP
  std::chrono::milliseconds flow_timeout{120'000};
  std::size_t max_sessions = 128;
  std::vector<ListenRule> listen_rules;
  bool log_destinations = false;
};

struct ExitPeerOptions {
  std::vector<RelayUrl> relays;
  carrier::DiallerPtr dialler;
  Connect connect = &exit::connect;
  ExitLimits limits;
  std::chrono::seconds orphan_timeout{120};  // how long a session outlives its lane
  std::size_t orphan_memory_bytes = 256 * 1024 * 1024;
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
           Guests guests, std::shared_ptr<GuestResolver> resolver, Handlers handlers);

  void start();
  // No new sessions and streams; what runs gets 5 s.
  void stop();
  // Lanes are probed, and pauses before the next attempt at a relay end.
  void network_changed();
  // For what comes from now on; listeners that are not allowed any more end.
  void set_limits(ExitLimits limits);
  ExitStatus status() const;

 private:
  void add_relay(const RelayUrl& relay);
  void on_knock(const RelayUrl& relay, const PairId& pair);
  static carrier::Task<> admit(std::weak_ptr<ExitPeer> weak, tunnel::Claim claim);
  Door::Handlers door_handlers();
  // An authentic client's lane: for a session that it has here, or for a new one.
  Result<> begin(carrier::CarrierPtr carrier, tunnel::Accepted accepted, ByteView frames,
                 std::size_t record_bytes);
  void attach(const ClientSession& session, carrier::CarrierPtr carrier, tunnel::Accepted accepted,
              session::LaneNumber number, session::HelloMode mode, ByteView frames, std::size_t record_bytes);
  Result<ClientSessionPtr> new_session(const SessionId& id, const tunnel::Claim& claim);
  tunnel::Tunnel::Handlers session_handlers(const ClientSessionPtr& session);
  void on_orphaned(const ClientSessionPtr& session, const Error& why);
  void on_end(const ClientSessionPtr& session, const Error& why);
  void look_after_guests();
  void finish();

  asio::any_io_executor executor_;
  ExitPeerOptions options_;
  link::ExitIdentity identity_;
  crypto::KeyPair static_key_;
  InstanceId instance_ = random_array<8>();
  Guests guests_;
  std::shared_ptr<GuestResolver> resolver_;
  std::shared_ptr<StreamServer> streams_;
  std::shared_ptr<UdpHost> udp_;
  std::shared_ptr<ListenRules> listen_rules_;
  std::shared_ptr<EchoHost> echo_;
  Handlers handlers_;
  std::shared_ptr<Door> door_;
  std::optional<ScarceMemory> memory_;
  std::vector<std::shared_ptr<ControlSocket>> controls_;
  std::size_t refused_ = 0;  // relays that will never take us
  SessionRegistry sessions_;
  tunnel::HeapTrim heap_trim_;
  asio::steady_timer guest_timer_;
  asio::steady_timer stop_timer_;
  bool stopping_ = false;
  ExitTally tally_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace zks::exit
