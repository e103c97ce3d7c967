// SPDX-License-Identifier: MIT
#include "exit/exit_peer.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <malloc.h>
#include <sodium.h>

#include "base/log.hpp"
#include "net/spawn.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using session::ResetCode;

constexpr auto kGuestsEvery = 1s;
constexpr auto kStopWithin = 5s;
constexpr auto kSaveWithin = 2s;  // what was used, behind that
// Ending a session that holds less would not help.
constexpr std::size_t kWorthEnding = 256 * 1024;
constexpr const char* kNoMemory = "the exit has no memory left; try later";

UdpOptions udp_options(const ExitLimits& limits) {
  UdpOptions out;
  out.idle_timeout = limits.flow_timeout;
  // So that one device alone may have what its session may.
  out.max_flows = std::max<std::size_t>(out.max_flows, GuestShares::kAloneOneIn * limits.max_flows);
  out.log_destinations = limits.log_destinations;
  return out;
}

}  // namespace

ExitPeer::ExitPeer(asio::any_io_executor executor, ExitPeerOptions options, link::ExitIdentity identity,
                   Guests guests, std::shared_ptr<GuestResolver> resolver, Handlers handlers)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      identity_(std::move(identity)),
      static_key_(crypto::KeyPair::from_private(identity_.static_secret.clone())),
      guests_(std::move(guests)),
      resolver_(std::move(resolver)),
      udp_(std::make_shared<UdpHost>(executor_, resolver_, udp_options(options_.limits))),
      listen_rules_(std::make_shared<ListenRules>(options_.limits.listen_rules)),
      echo_(std::make_shared<EchoHost>(executor_)),
      handlers_(std::move(handlers)),
      heap_trim_(executor_),
      guest_timer_(executor_),
      stop_timer_(executor_) {}

void ExitPeer::start() {
  echo_->start();
  door_ = std::make_shared<Door>(executor_, options_.dialler, identity_.room, static_key_.clone(),
                                 door_handlers());
  memory_.emplace(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->relieve_memory();
  });
  look_after_guests();
  for (const auto& relay : options_.relays) add_relay(relay);
}

void ExitPeer::add_relay(const RelayUrl& relay) {
  ControlSocketOptions options;
  options.relay = relay;
  options.room = identity_.room;
  options.instance = instance_;
  options.room_public = identity_.room_public;
  options.dialler = options_.dialler;
  options.reconnect_max = options_.reconnect_max;
  options.refresh_every = options_.control_refresh;
  ControlSocket::Handlers handlers;
  const auto weak = weak_from_this();
  handlers.sign = [weak](ByteView message) {
    Bytes signature(crypto_sign_BYTES);
    if (const auto self = weak.lock()) {
      crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                           self->identity_.room_secret.data());
    }
    return signature;
  };
  handlers.on_registered = [weak, relay] {
    if (const auto self = weak.lock(); self && self->handlers_.on_registered)
      self->handlers_.on_registered(relay);
  };
  handlers.on_knock = [weak, relay](const PairId& pair) {
    if (const auto self = weak.lock()) self->on_knock(relay, pair);
  };
  handlers.on_refused = [weak, relay](const Error& error) {
    const auto self = weak.lock();
    if (!self) return;
    log::error("relay {}: {}", relay.text(), error.text);
    if (++self->refused_ < self->options_.relays.size()) return;
    self->stop();
    if (self->handlers_.on_stopped) std::exchange(self->handlers_.on_stopped, nullptr)(error);
  };
  controls_.push_back(std::make_shared<ControlSocket>(executor_, std::move(options), std::move(handlers)));
  controls_.back()->start();
}

void ExitPeer::on_knock(const RelayUrl& relay, const PairId& pair) {
  ++tally_.knocks;
  if (!stopping_) door_->on_knock(relay, pair);
}

carrier::Task<> ExitPeer::admit(std::weak_ptr<ExitPeer> weak, tunnel::Claim claim) {
  const auto self = weak.lock();
  const Error stopping = make_error(ErrorKind::kClosed, "stopping");
  if (!self || self->stopping_) co_return stopping;
  auto admitted = co_await self->guests_.admit(std::move(claim));
  if (self->stopping_) co_return stopping;
  co_return admitted;
}

Door::Handlers ExitPeer::door_handlers() {
  Door::Handlers handlers;
  const auto weak = weak_from_this();
  handlers.authorize = [weak](const tunnel::Claim& claim) -> Result<Key> {
    const auto self = weak.lock();
    if (!self || self->stopping_) return make_error(ErrorKind::kClosed, "stopping");
    return self->guests_.authorize(claim, self->is_running(claim));
  };
  handlers.admit = [weak](tunnel::Claim claim) { return admit(weak, std::move(claim)); };
  handlers.begin = [weak](carrier::CarrierPtr carrier, tunnel::Accepted accepted, ByteView frames,
                          std::size_t record_bytes) -> Result<> {
    const auto self = weak.lock();
    if (!self) return make_error(ErrorKind::kClosed, "stopping");
    return self->begin(std::move(carrier), std::move(accepted), frames, record_bytes);
  };
  handlers.on_busy = [weak] {
    if (const auto self = weak.lock()) self->tally_.refuse(ClientRefusal::kBusy);
  };
  handlers.on_refused = [weak](const Error& error) {
    if (const auto self = weak.lock()) self->tally_.refuse(error);
  };
  return handlers;
}

Result<> ExitPeer::begin(carrier::CarrierPtr carrier, tunnel::Accepted accepted, ByteView frames,
                         std::size_t record_bytes) {
  ByteReader in(frames);
  const auto first = session::decode_frame(in);
  if (!first) return first.error();
  const auto* hello = std::get_if<session::HelloFrame>(&*first);
  if (hello == nullptr) return make_error(ErrorKind::kProtocol, "the first frame is not HELLO");
  const auto known = find_session(hello->session, accepted.claim);
  const session::LaneNumber number = hello->lane;
  if (known && number <= known->tunnel->newest_lane()) {
    return make_error(ErrorKind::kClosed, "a lane that was overtaken by a newer one");
  }
  if (hello->mode == session::HelloMode::kJoin) {
    if (!known) return make_error(ErrorKind::kClosed, "a lane that joins a session that is not here");
    if (known->tunnel->lanes() >= session::kMaxLanes) {
      return make_error(ErrorKind::kLimit, "too many lanes in a session");
    }
    attach(known, std::move(carrier), std::move(accepted), number, session::HelloMode::kJoin, frames,
           record_bytes);
    return {};
  }
  if (known && hello->mode == session::HelloMode::kResume) {
    attach(known, std::move(carrier), std::move(accepted), number, session::HelloMode::kResume, frames,
           record_bytes);
    ++tally_.resumes;
    log::info("a session was resumed");
    return {};
  }
  if (known) known->tunnel->end(make_error(ErrorKind::kClosed, "the client began anew"));
  const auto visit = new_visit(hello->session, accepted.claim);
  if (!visit) return visit.error();
  attach(*visit, std::move(carrier), std::move(accepted), number, session::HelloMode::kNew, frames,
         record_bytes);
  ++tally_.sessions;
  log::info("a session began; {} now", visits_.size());
  return {};
}

// Without memory for the lane the session would stand there without one, and its client would come back to it
// again and again.
void ExitPeer::attach(const VisitPtr& visit, carrier::CarrierPtr carrier, tunnel::Accepted accepted,
                      session::LaneNumber number, session::HelloMode mode, ByteView frames,
                      std::size_t record_bytes) {
  try {
    visit->tunnel->attach(std::move(carrier), std::move(accepted.keys), number, mode, frames, record_bytes);
  } catch (const std::bad_alloc&) {
    visit->tunnel->end(make_error(ErrorKind::kLimit, "no memory for a lane"));
    throw;
  }
}

// Sessions belong to one device of one invite: nobody else's lane can take one over.
ExitPeer::VisitPtr ExitPeer::find_session(const SessionId& id, const tunnel::Claim& claim) const {
  for (const auto& visit : visits_) {
    const bool same_guest =
        visit->claim.invite == claim.invite && visit->claim.client_key == claim.client_key;
    if (same_guest && visit->tunnel->id() == id) return visit;
  }
  return nullptr;
}

bool ExitPeer::is_running(const tunnel::Claim& claim) const {
  return std::any_of(visits_.begin(), visits_.end(), [&claim](const VisitPtr& visit) {
    return visit->claim.invite == claim.invite && visit->claim.client_key == claim.client_key;
  });
}

Result<ExitPeer::VisitPtr> ExitPeer::new_visit(const SessionId& id, const tunnel::Claim& claim) {
  if (visits_.size() >= options_.limits.max_sessions && !make_place(claim)) {
    return make_error(ErrorKind::kLimit, "too many sessions; raise --max-sessions");
  }
  session::Options options;
  options.role = session::Role::kExit;
  options.id = id;
  options.instance = instance_;
  options.max_streams = options_.limits.max_streams;
  options.max_flows = options_.limits.max_flows;
  options.max_listeners = kMaxListeners;  // rules may come later
  options.capabilities = find_capabilities(*echo_);
  options.orphan_seconds = static_cast<std::uint64_t>(options_.orphan_timeout.count());
  const auto visit = std::make_shared<Visit>();
  visit->claim = claim;
  visit->allowance = guests_.allowance(claim);
  visit->tunnel = std::make_shared<tunnel::Tunnel>(executor_, std::move(options), visit_handlers(visit));
  const std::weak_ptr<Visit> weak_visit = visit;
  visit->listeners = std::make_shared<Listeners>(
      listen_rules_, visit->allowance, visit->tunnel, options_.limits.max_flows == 0 ? nullptr : udp_,
      [weak = weak_from_this(), weak_visit](const Listeners::Place& place) {
        const auto self = weak.lock();
        const auto this_visit = weak_visit.lock();
        return self && this_visit && self->make_way(*this_visit, place);
      },
      claim);
  visit->requests =
      std::make_shared<SessionRequests>(resolver_, echo_, visit->allowance, visit->tunnel, claim);
  visits_.push_back(visit);
  return visit;
}

// A client that was killed and started again finds its listener taken by what it left behind.
bool ExitPeer::make_way(const Visit& visit, const Listeners::Place& place) {
  for (const auto& other : visits_) {
    const bool same_guest =
        other->claim.invite == visit.claim.invite && other->claim.client_key == visit.claim.client_key;
    if (same_guest && other->tunnel->orphaned() && other->listeners->close_at(place)) return true;
  }
  return false;
}

std::vector<HeldSession> ExitPeer::held_sessions() const {
  std::vector<HeldSession> out;
  for (const auto& visit : visits_) {
    const bool orphaned = visit->tunnel->orphaned();
    out.push_back({visit->claim, orphaned, orphaned ? visit->tunnel->memory_bytes() : 0});
  }
  return out;
}

void ExitPeer::end_session(std::size_t index, const char* why) {
  const VisitPtr visit = *std::next(visits_.begin(), static_cast<std::ptrdiff_t>(index));
  visit->tunnel->end(make_error(ErrorKind::kLimit, why));  // leaves visits_
}

bool ExitPeer::make_place(const tunnel::Claim& newcomer) {
  const auto index = session_that_gives_way(held_sessions(), newcomer);
  if (index) end_session(*index, "its place was needed by somebody who has fewer");
  return index.has_value();
}

// Sockets at the exit's side still fill an orphan's buffers, so this is looked at again every second.
void ExitPeer::bound_orphans() {
  for (;;) {
    const auto sessions = held_sessions();
    std::size_t bytes = 0;
    for (const HeldSession& session : sessions) bytes += session.memory_bytes;
    if (bytes <= options_.orphan_memory_bytes) return;
    const auto index = orphan_that_gives_way(sessions);
    if (!index) return;
    end_session(*index, "sessions without a lane held too much memory");
  }
}

// What the session that holds most has is free at once; its client is told, and may begin anew.
void ExitPeer::relieve_memory() {
  VisitPtr heaviest;
  std::size_t most = kWorthEnding;
  for (const auto& visit : visits_) {
    const std::size_t bytes = visit->tunnel->memory_bytes();
    if (bytes >= most) {
      most = bytes;
      heaviest = visit;
    }
  }
  if (!heaviest) return;
  heaviest->tunnel->reset_streams(ResetCode::kLimit);
  heaviest->tunnel->dismiss(session::GoawayCode::kShutdown, kNoMemory);
  ::malloc_trim(0);
}

tunnel::Tunnel::Handlers ExitPeer::visit_handlers(const VisitPtr& visit) {
  tunnel::Tunnel::Handlers handlers;
  const auto weak = weak_from_this();
  const std::weak_ptr<Visit> weak_visit = visit;
  handlers.on_open = [weak, weak_visit](tunnel::StreamPtr stream, session::Destination destination) {
    const auto self = weak.lock();
    const auto this_visit = weak_visit.lock();
    if (self && this_visit) self->on_open(this_visit, std::move(stream), std::move(destination));
  };
  handlers.on_flow = [weak, weak_visit](tunnel::SessionFlowPtr flow) {
    const auto self = weak.lock();
    const auto this_visit = weak_visit.lock();
    if (self && this_visit) self->udp_->serve(std::move(flow), this_visit->allowance, this_visit->claim);
  };
  const auto to_listeners = [weak_visit](const auto& event) {
    if (const auto this_visit = weak_visit.lock()) this_visit->listeners->on(event);
  };
  handlers.on_listen = to_listeners;
  handlers.on_unlisten = to_listeners;
  const auto to_requests = [weak_visit](auto& event) {
    if (const auto this_visit = weak_visit.lock()) this_visit->requests->on(event);
  };
  handlers.on_resolve = to_requests;
  handlers.on_echo = to_requests;
  handlers.on_goaway = [weak_visit](session::GoawayCode, const std::string&) {
    if (const auto this_visit = weak_visit.lock()) {
      this_visit->tunnel->leave(session::GoawayCode::kShutdown, "");
    }
  };
  handlers.on_lane_lost = [weak, weak_visit](session::LaneNumber, const Error& why) {
    const auto self = weak.lock();
    const auto this_visit = weak_visit.lock();
    if (!self || !this_visit || !this_visit->tunnel->orphaned()) return;
    self->visits_.remove(this_visit);
    self->visits_.push_back(this_visit);
    log::info("a session lost its lane ({}); it is kept for {} s", why.text,
              self->options_.orphan_timeout.count());
    self->bound_orphans();
  };
  handlers.on_freed = [weak] {
    if (const auto self = weak.lock()) self->heap_trim_.later();
  };
  handlers.on_end = [weak, weak_visit](const Error& why) {
    const auto self = weak.lock();
    const auto this_visit = weak_visit.lock();
    if (!self || !this_visit) return;
    this_visit->listeners->close();
    self->visits_.remove(this_visit);
    self->heap_trim_.later();
    self->tally_.over += this_visit->tunnel->traffic();
    log::info("a session ended ({}); {} left", why.text, self->visits_.size());
    if (self->stopping_ && self->visits_.empty()) self->finish();
  };
  return handlers;
}

// A connect outlives a stream that is reset meanwhile, by at most its own timeout; so connects have a bound
// of their own, or OPEN and RESET in turn would pile them up.
void ExitPeer::on_open(const VisitPtr& visit, tunnel::StreamPtr stream, session::Destination destination) {
  if (visit->connecting >= options_.limits.max_streams) {
    return refuse(visit, stream, ResetCode::kLimit, "too many connects under way");
  }
  auto admission = visit->allowance->admit(visit->claim);
  if (!admission.reason.empty()) return refuse(visit, stream, admission.refused, admission.reason);
  ++visit->connecting;
  asio::co_spawn(executor_,
                 serve_stream(shared_from_this(), visit, std::move(stream), std::move(destination),
                              std::move(admission)),
                 net::RethrowFailure{});
}

void ExitPeer::refuse(const VisitPtr& visit, const tunnel::StreamPtr& stream, ResetCode code,
                      const std::string& reason) {
  tally_.fail_stream(code);
  if (visit->allowance->may_log()) log::info("stream refused: {}", reason);
  stream->reset(code);
}

asio::awaitable<void> ExitPeer::serve_stream(std::shared_ptr<ExitPeer> self, VisitPtr visit,
                                             tunnel::StreamPtr stream, session::Destination destination,
                                             Allowance::Admission admission) {
  if (admission.pause > Allowance::Duration::zero()) {
    asio::steady_timer turn(self->executor_, admission.pause);
    const auto [ec] = co_await turn.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ec;
  }
  if (stream->reset_code()) {
    --visit->connecting;
    co_return;
  }
  const std::string where =
      self->options_.limits.log_destinations ? " to " + session::to_text(destination) : "";
  ConnectOptions options;
  options.asker = visit->claim;
  auto outcome =
      co_await self->options_.connect(self->executor_, std::move(destination), visit->allowance->policy(),
                                      self->resolver_, std::move(options));
  --visit->connecting;
  const bool told = !where.empty() || outcome.code == ResetCode::kNotAllowed;
  if (told && visit->allowance->may_log()) {
    log::info("stream{}: {}", where, outcome.socket ? "connected" : outcome.reason);
  }
  if (!outcome.socket) {
    self->tally_.fail_stream(outcome.code);
    stream->reset(outcome.code);
    co_return;
  }
  if (stream->reset_code()) co_return;
  ++self->tally_.connected_streams;
  admission.place.give(stream);
  stream->accept(outcome.bound);
  Bytes nothing_early;
  co_await tunnel::splice(std::move(*outcome.socket), std::move(stream), std::move(nothing_early),
                          visit->allowance);
}

void ExitPeer::set_limits(ExitLimits limits) {
  options_.limits = std::move(limits);
  udp_->set_options(udp_options(options_.limits));
  listen_rules_->set(options_.limits.listen_rules);
  const std::list<VisitPtr> visits = visits_;
  for (const auto& visit : visits) visit->listeners->recheck();
}

// Revocations and expiries end live sessions, a quota that is used up their streams. What can't be read ends
// none.
void ExitPeer::look_after_guests() {
  guests_.save_usage_sometimes(std::chrono::steady_clock::now());
  (void)guests_.refresh();  // it tells
  const std::list<VisitPtr> visits = visits_;
  for (const auto& visit : visits) {
    if (!guests_.welcome(visit->claim)) {
      visit->tunnel->dismiss(session::GoawayCode::kRevoked, "this invite was revoked or has expired");
    } else if (visit->allowance->used_up()) {
      visit->tunnel->reset_streams(ResetCode::kQuotaUsedUp);
    }
    visit->listeners->recheck();
  }
  bound_orphans();
  memory_->look(std::chrono::steady_clock::now());
  guest_timer_.expires_after(kGuestsEvery);
  guest_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && !self->stopping_) self->look_after_guests();
  });
}

void ExitPeer::stop() {
  if (stopping_) return;
  stopping_ = true;
  guest_timer_.cancel();
  for (const auto& control : controls_) control->stop();
  const std::list<VisitPtr> visits = visits_;
  for (const auto& visit : visits) {
    visit->listeners->close();
    visit->tunnel->leave(session::GoawayCode::kShutdown, "");
  }
  if (visits_.empty()) {
    asio::post(executor_, [self = shared_from_this()] { self->finish(); });
    return;
  }
  stop_timer_.expires_after(kStopWithin);
  stop_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self) return;
    const std::list<VisitPtr> late = self->visits_;
    for (const auto& visit : late) visit->tunnel->end(make_error(ErrorKind::kClosed, "stopped"));
  });
}

void ExitPeer::network_changed() {
  options_.dialler->network_changed();
  for (const auto& control : controls_) control->network_changed();
  const std::list<VisitPtr> visits = visits_;
  for (const auto& visit : visits) visit->tunnel->network_changed();
}

ExitStatus ExitPeer::status() const {
  ExitStatus out;
  out.room = identity_.room;
  out.instance = instance_;
  out.stopping = stopping_;
  out.age = std::chrono::steady_clock::now() - began_;
  out.max_sessions = options_.limits.max_sessions;
  for (const auto& control : controls_) out.relays.push_back(control->status());
  out.tally = tally_;
  out.faults = guests_.faults();
  if (memory_ && memory_->fault().error()) out.faults.push_back(memory_->fault().error()->text);
  out.tally.failed_streams[static_cast<std::size_t>(ResetCode::kNotAllowed)] += udp_->refused();
  out.traffic = tally_.over;
  for (const auto& visit : visits_) {
    const Allowance& allowance = *visit->allowance;
    out.sessions.push_back({guests_.name_of(visit->claim), visit->connecting, visit->listeners->size(),
                            allowance.streams(), allowance.used_bytes(), allowance.quota_bytes(),
                            visit->tunnel->status()});
    out.traffic += out.sessions.back().tunnel.traffic;
  }
  return out;
}

void ExitPeer::finish() {
  memory_.reset();
  heap_trim_.cancel();
  const auto over = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->stop_timer_.cancel();
    if (self->handlers_.on_stopped) std::exchange(self->handlers_.on_stopped, nullptr)(std::nullopt);
  };
  stop_timer_.expires_after(kSaveWithin);
  stop_timer_.async_wait([over](const boost::system::error_code& ec) {
    if (ec) return;
    log::error("what users used could not be written down within {} s", kSaveWithin.count());
    over();
  });
  guests_.finish(over);
}

}  // namespace zks::exit
