// SPDX-License-Identifier: MIT
#include "exit/exit_peer.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
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

StreamServer::Options stream_options(const ExitLimits& limits) {
  return {limits.max_streams, limits.log_destinations};
}

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
      streams_(std::make_shared<StreamServer>(executor_, options_.connect, resolver_,
                                              stream_options(options_.limits))),
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
    if (const auto self = weak.lock()) self->sessions_.relieve_memory();
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
    return self->guests_.authorize(claim, self->sessions_.has_session_of(claim));
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
  const auto known = sessions_.find(hello->session, accepted.claim);
  const session::LaneNumber number = hello->lane;
  if (known && number <= known->tunnel->newest_lane()) {
    return make_error(ErrorKind::kClosed, "a lane that was overtaken by a newer one");
  }
  if (hello->mode == session::HelloMode::kJoin) {
    if (!known) return make_error(ErrorKind::kClosed, "a lane that joins a session that is not here");
    if (known->tunnel->lanes() >= session::kMaxLanes) {
      return make_error(ErrorKind::kLimit, "too many lanes in a session");
    }
    attach(*known, std::move(carrier), std::move(accepted), number, session::HelloMode::kJoin, frames,
           record_bytes);
    return {};
  }
  if (known && hello->mode == session::HelloMode::kResume) {
    attach(*known, std::move(carrier), std::move(accepted), number, session::HelloMode::kResume, frames,
           record_bytes);
    ++tally_.resumes;
    log::info("a session was resumed");
    return {};
  }
  if (known) known->tunnel->end(make_error(ErrorKind::kClosed, "the client began anew"));
  const auto session = new_session(hello->session, accepted.claim);
  if (!session) return session.error();
  attach(**session, std::move(carrier), std::move(accepted), number, session::HelloMode::kNew, frames,
         record_bytes);
  ++tally_.sessions;
  log::info("a session began; {} now", sessions_.size());
  return {};
}

// Without memory for the lane the session would stand there without one, and its client would come back to it
// again and again.
void ExitPeer::attach(const ClientSession& session, carrier::CarrierPtr carrier, tunnel::Accepted accepted,
                      session::LaneNumber number, session::HelloMode mode, ByteView frames,
                      std::size_t record_bytes) {
  try {
    session.tunnel->attach(std::move(carrier), std::move(accepted.keys), number, mode, frames, record_bytes);
  } catch (const std::bad_alloc&) {
    session.tunnel->end(make_error(ErrorKind::kLimit, "no memory for a lane"));
    throw;
  }
}

Result<ClientSessionPtr> ExitPeer::new_session(const SessionId& id, const tunnel::Claim& claim) {
  if (sessions_.size() >= options_.limits.max_sessions && !sessions_.make_room(claim)) {
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
  const auto session = std::make_shared<ClientSession>();
  session->claim = claim;
  session->allowance = guests_.allowance(claim);
  session->tunnel =
      std::make_shared<tunnel::Tunnel>(executor_, std::move(options), session_handlers(session));
  session->listeners = std::make_shared<Listeners>(
      listen_rules_, session->allowance, session->tunnel, options_.limits.max_flows == 0 ? nullptr : udp_,
      [weak = weak_from_this(), claim](const Listeners::Endpoint& endpoint) {
        const auto self = weak.lock();
        return self && self->sessions_.take_listener(claim, endpoint);
      },
      claim);
  session->requests =
      std::make_shared<SessionRequests>(resolver_, echo_, session->allowance, session->tunnel, claim);
  sessions_.add(session);
  return session;
}

tunnel::Tunnel::Handlers ExitPeer::session_handlers(const ClientSessionPtr& session) {
  tunnel::Tunnel::Handlers handlers;
  const auto weak = weak_from_this();
  const std::weak_ptr<ClientSession> weak_session = session;
  handlers.on_open = [streams = streams_, weak_session](tunnel::StreamPtr stream,
                                                        session::Destination destination) {
    if (const auto it = weak_session.lock()) streams->serve(it, std::move(stream), std::move(destination));
  };
  handlers.on_flow = [udp = udp_, weak_session](tunnel::SessionFlowPtr flow) {
    if (const auto it = weak_session.lock()) udp->serve(std::move(flow), it->allowance, it->claim);
  };
  const auto to_listeners = [weak_session](const auto& event) {
    if (const auto it = weak_session.lock()) it->listeners->on(event);
  };
  handlers.on_listen = to_listeners;
  handlers.on_unlisten = to_listeners;
  const auto to_requests = [weak_session](auto& event) {
    if (const auto it = weak_session.lock()) it->requests->on(event);
  };
  handlers.on_resolve = to_requests;
  handlers.on_echo = to_requests;
  handlers.on_goaway = [weak_session](session::GoawayCode, const std::string&) {
    if (const auto it = weak_session.lock()) it->tunnel->leave(session::GoawayCode::kShutdown, "");
  };
  handlers.on_lane_lost = [weak, weak_session](session::LaneNumber, const Error& why) {
    const auto self = weak.lock();
    const auto it = weak_session.lock();
    if (self && it && it->tunnel->orphaned()) self->on_orphaned(it, why);
  };
  handlers.on_freed = [weak] {
    if (const auto self = weak.lock()) self->heap_trim_.later();
  };
  handlers.on_end = [weak, weak_session](const Error& why) {
    const auto self = weak.lock();
    const auto it = weak_session.lock();
    if (self && it) self->on_end(it, why);
  };
  return handlers;
}

void ExitPeer::on_orphaned(const ClientSessionPtr& session, const Error& why) {
  sessions_.orphaned(session);
  log::info("a session lost its lane ({}); it is kept for {} s", why.text, options_.orphan_timeout.count());
  sessions_.bound_orphans(options_.orphan_memory_bytes);
}

void ExitPeer::on_end(const ClientSessionPtr& session, const Error& why) {
  session->listeners->close();
  sessions_.remove(session);
  heap_trim_.later();
  tally_.over += session->tunnel->traffic();
  log::info("a session ended ({}); {} left", why.text, sessions_.size());
  if (stopping_ && sessions_.empty()) finish();
}

void ExitPeer::set_limits(ExitLimits limits) {
  options_.limits = std::move(limits);
  streams_->set_options(stream_options(options_.limits));
  udp_->set_options(udp_options(options_.limits));
  listen_rules_->set(options_.limits.listen_rules);
  for (const auto& session : sessions_.all()) session->listeners->recheck();
}

// Revocations and expiries end live sessions, a quota that is used up their streams. What can't be read ends
// none.
void ExitPeer::look_after_guests() {
  guests_.save_usage_sometimes(std::chrono::steady_clock::now());
  (void)guests_.refresh();  // it tells
  for (const auto& session : sessions_.all()) {
    if (!guests_.welcome(session->claim)) {
      session->tunnel->dismiss(session::GoawayCode::kRevoked, "this invite was revoked or has expired");
    } else if (session->allowance->used_up()) {
      session->tunnel->reset_streams(ResetCode::kQuotaUsedUp);
    }
    session->listeners->recheck();
  }
  sessions_.bound_orphans(options_.orphan_memory_bytes);
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
  for (const auto& session : sessions_.all()) {
    session->listeners->close();
    session->tunnel->leave(session::GoawayCode::kShutdown, "");
  }
  if (sessions_.empty()) {
    asio::post(executor_, [self = shared_from_this()] { self->finish(); });
    return;
  }
  stop_timer_.expires_after(kStopWithin);
  stop_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self) return;
    for (const auto& session : self->sessions_.all())
      session->tunnel->end(make_error(ErrorKind::kClosed, "stopped"));
  });
}

void ExitPeer::network_changed() {
  options_.dialler->network_changed();
  for (const auto& control : controls_) control->network_changed();
  for (const auto& session : sessions_.all()) session->tunnel->network_changed();
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
  out.streams = streams_->tally();
  out.faults = guests_.faults();
  if (memory_ && memory_->fault().error()) out.faults.push_back(memory_->fault().error()->text);
  out.streams.failed_streams[static_cast<std::size_t>(ResetCode::kNotAllowed)] += udp_->refused();
  out.traffic = tally_.over;
  for (const auto& session : sessions_.all()) {
    const Allowance& allowance = *session->allowance;
    out.sessions.push_back({guests_.name_of(session->claim), session->connecting, session->listeners->size(),
                            allowance.streams(), allowance.used_bytes(), allowance.quota_bytes(),
                            session->tunnel->status()});
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
