// SPDX-License-Identifier: MIT
//
// What becomes of a lane that has shown its first record: it joins or resumes the session that it names, or a
// new one begins. What each session's streams, flows, listeners and requests need at the exit is made here
// and given to it. Before it: door.hpp. Its parts: session_registry.hpp for the sessions, stream_server.hpp
// for their streams.
//
// Bounds: max_sessions sessions, orphans included: the oldest orphan makes room; orphans hold at most
// orphan_memory_bytes of stream data together; what one session may hold is in session/session.hpp; connects
// under way: stream_server.hpp; flows: udp_flow.hpp; DNS queries and pings: session_requests.hpp,
// echo_host.hpp.
//
// Executor: one, given at construction. Lifetime: shared; sessions hold it weakly.
#pragma once

#include <functional>
#include <memory>

#include "exit/exit_status.hpp"
#include "exit/proven_lane.hpp"
#include "exit/session_registry.hpp"
#include "exit/stream_server.hpp"
#include "exit/udp_flow.hpp"
#include "tunnel/heap_trim.hpp"

namespace zks::exit {

// What may change while an exit runs.
struct ExitLimits {
  std::uint64_t max_streams = 2048;  // of a session, from its beginning on
  std::uint64_t max_flows = 1024;    // UDP flows of a session, likewise; 0: no UDP
  std::chrono::milliseconds flow_timeout{120'000};
  std::size_t max_sessions = 128;
  std::vector<ListenRule> listen_rules;
  bool log_destinations = false;
};

struct SessionServerOptions {
  Connect connect = &exit::connect;
  ExitLimits limits;
  std::chrono::seconds orphan_timeout{120};  // how long a session outlives its lane
  std::size_t orphan_memory_bytes = 256 * 1024 * 1024;
};

class SessionServer : public std::enable_shared_from_this<SessionServer> {
 public:
  SessionServer(asio::any_io_executor executor, SessionServerOptions options, const InstanceId& instance,
                std::shared_ptr<GuestResolver> resolver);

  void start() { echo_->start(); }
  // GOAWAY to all sessions, whose listeners are closed. `left`: the last of those that went on has ended.
  // False: none goes on, and `left` is forgotten.
  bool leave(std::function<void()> left);
  void end_all(const Error& why);

  // `allowance`: of the lane's claim.
  Result<> begin(ProvenLane lane, std::shared_ptr<Allowance> allowance);
  // For what comes from now on; listeners that are not allowed any more end.
  void set_limits(ExitLimits limits);
  void network_changed();
  // Asked again and again (session_registry.hpp).
  void bound_orphans() { registry_.bound_orphans(options_.orphan_memory_bytes); }
  void relieve_memory() { registry_.relieve_memory(); }

  const SessionRegistry& sessions() const { return registry_; }
  std::size_t max_sessions() const { return options_.limits.max_sessions; }
  const SessionTally& tally() const { return tally_; }
  StreamTally stream_tally() const;

 private:
  Result<> join(const ClientSessionPtr& session, ProvenLane lane, session::LaneNumber number);
  static void attach(const ClientSession& session, ProvenLane lane, session::LaneNumber number,
                     session::HelloMode mode);
  Result<ClientSessionPtr> make_session(const SessionId& id, const tunnel::Claim& claim,
                                        std::shared_ptr<Allowance> allowance);
  session::Options session_options(const SessionId& id) const;
  tunnel::Tunnel::Handlers session_handlers(const ClientSessionPtr& session);
  void on_orphaned(const ClientSessionPtr& session, const Error& why);
  void on_end(const ClientSessionPtr& session, const Error& why);
  void on_freed();

  asio::any_io_executor executor_;
  SessionServerOptions options_;
  const InstanceId instance_;
  std::shared_ptr<GuestResolver> resolver_;
  std::shared_ptr<StreamServer> streams_;
  std::shared_ptr<UdpHost> udp_;
  std::shared_ptr<ListenRules> listen_rules_;
  std::shared_ptr<EchoHost> echo_;
  SessionRegistry registry_;
  tunnel::HeapTrim heap_trim_;
  bool leaving_ = false;
  std::function<void()> left_;
  SessionTally tally_;
};

}  // namespace zks::exit
