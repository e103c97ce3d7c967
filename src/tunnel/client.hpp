// SPDX-License-Identifier: MIT
//
// The client's end of a tunnel: dials the link's relays, makes a session with the exit and as many lanes as
// wanted, and, when the last lane is lost, another one that resumes the session; when the session itself is
// lost, a new one. A lane that has served for long gets a successor, with new keys, before it ends; so does
// one that is silent when it should not be. Front doors open streams here. Below: tunnel.hpp for a session
// that is up.
//
// Executor: one, given at construction. Lifetime: shared; stop() ends its coroutine.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "base/repeat_notice.hpp"
#include "net/memory_watch.hpp"
#include "tunnel/backoff.hpp"
#include "tunnel/client_state.hpp"
#include "tunnel/dial_lane.hpp"
#include "tunnel/heap_trim.hpp"
#include "tunnel/lane_set.hpp"
#include "tunnel/pause.hpp"
#include "tunnel/remote_listeners.hpp"
#include "tunnel/session_waiters.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::tunnel {

inline constexpr std::size_t kMaxClientLanes = 8;
inline constexpr std::size_t kMaxClientFlows = 4096;  // if the exit takes as many

struct ClientOptions {
  LaneSource source;
  std::chrono::milliseconds reconnect_max{15'000};
  std::size_t lanes = 1;  // at once, at most kMaxClientLanes
  bool once = false;      // whatever fails before the first session ends the client
  // A lane gets a successor after this time or this many record bytes, both ways together.
  std::chrono::seconds renew_after{3'600};
  std::uint64_t renew_bytes = 64ULL << 30;
};

class Client final : public StreamOpener, public std::enable_shared_from_this<Client> {
 public:
  // `on_up`: a session is up (again). `on_stopped`: once, when nothing more will happen; with an error when
  // that is final, so that trying again makes no sense.
  struct Handlers {
    std::function<void()> on_up;
    std::function<void(const std::optional<Error>&)> on_stopped;
  };

  Client(asio::any_io_executor executor, ClientOptions options, Handlers handlers);
  ~Client() override;

  void start();
  // No new streams; the session ends when its streams are over, or after 5 s.
  void stop();
  // The network changed, as it also does when the machine wakes: a lane is probed, a pause before the next
  // attempt ends.
  void network_changed();

  ClientStatus status() const;

  asio::any_io_executor executor() override { return executor_; }
  asio::awaitable<OpenOutcome> open(session::Destination destination) override;
  Result<FlowPtr> open_flow(FlowHandlers handlers) override;
  asio::awaitable<Result<Bytes>> resolve(Bytes query) override;
  Result<> echo(EchoRequest request, EchoHandler handler) override;
  std::optional<session::ExitCapabilities> exit_capabilities() override { return exit_capabilities_; }

  // For as long as the client runs, or until stop_listening().
  void listen(std::shared_ptr<RemoteListener> listener) { listeners_->add(std::move(listener)); }
  void stop_listening() { listeners_->clear(); }

 private:
  void begin();
  static asio::awaitable<void> run(std::shared_ptr<Client> self);
  carrier::Task<> connect_once();
  carrier::Task<FreshLane> make_lane(std::size_t relay, std::function<bool()> at_its_exit);
  carrier::Task<session::LaneNumber> attach(FreshLane fresh);
  void begin_session();
  // client_lanes.cpp
  asio::awaitable<void> serve_lanes();
  asio::awaitable<void> join();
  carrier::Task<session::LaneNumber> add_lane();
  asio::awaitable<void> renew(session::LaneNumber old);
  asio::awaitable<void> race();
  std::vector<session::LaneNumber> silent_lanes() const;
  LaneSet::Session about_session() const;
  bool takes_no_lane() const { return tunnel_->lanes() >= tunnel_->max_lanes(); }
  void retire(session::LaneNumber lane);
  void watch_clock();
  bool wants_its_exit() const;
  Tunnel::Handlers make_handlers();
  void on_up(session::LaneNumber lane, session::HelloMode mode);
  void log_up(session::HelloMode mode, bool was_up) const;
  void on_lane_lost(session::LaneNumber lane, const Error& why);
  void on_goaway(session::GoawayCode code, const std::string& text);
  void on_end(const Error& why);
  asio::awaitable<void> back_off(bool no_exit);  // at a live relay
  void report_failure(const Error& error);
  void tell_of_quota();
  void stopped();
  // client_memory.cpp
  void relieve_memory();
  void begin_again();

  asio::any_io_executor executor_;
  std::shared_ptr<const LaneSource> source_;
  ClientOptions options_;  // but for its source
  Handlers handlers_;
  std::shared_ptr<Tunnel> tunnel_;  // while there is a session, or one waits for its welcome
  RepeatNotice quota_notice_{std::chrono::seconds(60)};
  LaneSet lanes_;
  std::size_t relay_ = 0;  // the last that worked
  Backoff backoff_;
  std::optional<session::ExitCapabilities> exit_capabilities_;  // of the last session
  ClientState state_;
  net::Wakeup changed_;  // wakes run()
  SessionWaiters waiters_;
  Pause pause_;
  asio::steady_timer begin_again_;
  asio::steady_timer stop_timer_;
  std::shared_ptr<RemoteListeners> listeners_;
  asio::steady_timer clock_;  // wakes run() when a lane is due
  HeapTrim heap_trim_;
  std::optional<net::MemoryWatch> memory_;
  RepeatNotice memory_notice_{std::chrono::seconds(10)};
};

}  // namespace zks::tunnel
