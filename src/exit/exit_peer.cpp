// SPDX-License-Identifier: MIT
#include "exit/exit_peer.hpp"

#include <sodium.h>

#include "base/log.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using session::ResetCode;

constexpr auto kInvitesEvery = 1s;
constexpr auto kStopWithin = 5s;
constexpr auto kSaveWithin = 2s;  // what was used, behind that

}  // namespace

ExitPeer::ExitPeer(asio::any_io_executor executor, ExitPeerOptions options, link::ExitIdentity identity,
                   InviteStore invites, std::shared_ptr<GuestResolver> resolver, Handlers handlers)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      identity_(std::move(identity)),
      invites_(std::move(invites)),
      handlers_(std::move(handlers)),
      sessions_(std::make_shared<SessionServer>(executor_, std::move(options_.sessions), instance_,
                                                std::move(resolver))),
      invite_timer_(executor_),
      stop_timer_(executor_) {}

void ExitPeer::start() {
  sessions_->start();
  door_ =
      std::make_shared<Door>(executor_, options_.dialler, identity_.room,
                             crypto::KeyPair::from_private(identity_.static_secret.clone()), door_handlers());
  memory_.emplace(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->sessions_->relieve_memory();
  });
  look_after_invites();
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
  auto admitted = co_await self->invites_.admit(std::move(claim));
  if (self->stopping_) co_return stopping;
  co_return admitted;
}

Door::Handlers ExitPeer::door_handlers() {
  Door::Handlers handlers;
  const auto weak = weak_from_this();
  handlers.authorize = [weak](const tunnel::Claim& claim) -> Result<Key> {
    const auto self = weak.lock();
    if (!self || self->stopping_) return make_error(ErrorKind::kClosed, "stopping");
    return self->invites_.authorize(claim, self->sessions_->sessions().has_session_of(claim));
  };
  handlers.admit = [weak](tunnel::Claim claim) { return admit(weak, std::move(claim)); };
  handlers.begin = [weak](ProvenLane lane) -> Result<> {
    const auto self = weak.lock();
    if (!self) return make_error(ErrorKind::kClosed, "stopping");
    auto allowance = self->invites_.allowance(lane.accepted.claim);
    return self->sessions_->begin(std::move(lane), std::move(allowance));
  };
  handlers.on_busy = [weak] {
    if (const auto self = weak.lock()) self->tally_.refuse(ClientRefusal::kBusy);
  };
  handlers.on_refused = [weak](const Error& error) {
    if (const auto self = weak.lock()) self->tally_.refuse(error);
  };
  return handlers;
}

// Revocations and expiries end live sessions, a quota that is used up their streams. What can't be read ends
// none.
void ExitPeer::look_after_invites() {
  invites_.save_usage_sometimes(std::chrono::steady_clock::now());
  (void)invites_.refresh();  // it tells
  for (const auto& session : sessions_->sessions().all()) {
    if (!invites_.welcome(session->claim)) {
      session->tunnel->dismiss(session::GoawayCode::kRevoked, "this invite was revoked or has expired");
    } else if (session->allowance->used_up()) {
      session->tunnel->reset_streams(ResetCode::kQuotaUsedUp);
    }
    session->listeners->recheck();
  }
  sessions_->bound_orphans();
  memory_->look(std::chrono::steady_clock::now());
  invite_timer_.expires_after(kInvitesEvery);
  invite_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && !self->stopping_) self->look_after_invites();
  });
}

void ExitPeer::stop() {
  if (stopping_) return;
  stopping_ = true;
  invite_timer_.cancel();
  for (const auto& control : controls_) control->stop();
  const auto weak = weak_from_this();
  const bool some_go_on = sessions_->leave([weak] {
    if (const auto self = weak.lock()) self->finish();
  });
  if (!some_go_on) {
    asio::post(executor_, [self = shared_from_this()] { self->finish(); });
    return;
  }
  stop_timer_.expires_after(kStopWithin);
  stop_timer_.async_wait([weak](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self) self->sessions_->end_all(make_error(ErrorKind::kClosed, "stopped"));
  });
}

void ExitPeer::network_changed() {
  options_.dialler->network_changed();
  for (const auto& control : controls_) control->network_changed();
  sessions_->network_changed();
}

ExitStatus ExitPeer::status() const {
  ExitStatus out;
  out.room = identity_.room;
  out.instance = instance_;
  out.stopping = stopping_;
  out.age = std::chrono::steady_clock::now() - began_;
  out.max_sessions = sessions_->max_sessions();
  for (const auto& control : controls_) out.relays.push_back(control->status());
  out.tally = tally_;
  out.served = sessions_->tally();
  out.streams = sessions_->stream_tally();
  out.faults = invites_.faults();
  if (memory_ && memory_->fault().error()) out.faults.push_back(memory_->fault().error()->text);
  out.traffic = out.served.over;
  for (const auto& session : sessions_->sessions().all()) {
    const Allowance& allowance = *session->allowance;
    out.sessions.push_back({invites_.name_of(session->claim), session->connecting, session->listeners->size(),
                            allowance.streams(), allowance.used_bytes(), allowance.quota_bytes(),
                            session->tunnel->status()});
    out.traffic += out.sessions.back().tunnel.traffic;
  }
  return out;
}

void ExitPeer::finish() {
  memory_.reset();
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
  invites_.finish(over);
}

}  // namespace zks::exit
