// SPDX-License-Identifier: MIT
#include "exit/session_server.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace zks::exit {
namespace {

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

SessionServer::SessionServer(asio::any_io_executor executor, SessionServerOptions options,
                             const InstanceId& instance, std::shared_ptr<GuestResolver> resolver)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      instance_(instance),
      resolver_(std::move(resolver)),
      streams_(std::make_shared<StreamServer>(executor_, options_.connect, resolver_,
                                              stream_options(options_.limits))),
      udp_(std::make_shared<UdpHost>(executor_, resolver_, udp_options(options_.limits))),
      listen_rules_(std::make_shared<ListenRules>(options_.limits.listen_rules)),
      echo_(std::make_shared<EchoHost>(executor_)),
      heap_trim_(executor_) {}

Result<> SessionServer::begin(ProvenLane lane, std::shared_ptr<Allowance> allowance) {
  ByteReader in(lane.frames);
  const auto first = session::decode_frame(in);
  if (!first) return first.error();
  const auto* hello = std::get_if<session::HelloFrame>(&*first);
  if (hello == nullptr) return make_error(ErrorKind::kProtocol, "the first frame is not HELLO");
  const tunnel::Claim claim = lane.accepted.claim;
  const auto known = registry_.find(hello->session, claim);
  if (known && hello->lane <= known->tunnel->newest_lane()) {
    return make_error(ErrorKind::kClosed, "a lane that was overtaken by a newer one");
  }
  if (hello->mode == session::HelloMode::kJoin) return join(known, std::move(lane), hello->lane);
  if (known && hello->mode == session::HelloMode::kResume) {
    attach(*known, std::move(lane), hello->lane, session::HelloMode::kResume);
    ++tally_.resumed;
    log::info("a session was resumed");
    return {};
  }
  if (known) known->tunnel->end(make_error(ErrorKind::kClosed, "the client began anew"));
  const auto session = make_session(hello->session, claim, std::move(allowance));
  if (!session) return session.error();
  attach(**session, std::move(lane), hello->lane, session::HelloMode::kNew);
  ++tally_.begun;
  log::info("a session began; {} now", registry_.size());
  return {};
}

Result<> SessionServer::join(const ClientSessionPtr& session, ProvenLane lane, session::LaneNumber number) {
  if (!session) return make_error(ErrorKind::kClosed, "a lane that joins a session that is not here");
  if (session->tunnel->lanes() >= session::kMaxLanes) {
    return make_error(ErrorKind::kLimit, "too many lanes in a session");
  }
  attach(*session, std::move(lane), number, session::HelloMode::kJoin);
  return {};
}

// Without memory for the lane the session would stand there without one, and its client would come back to it
// again and again.
void SessionServer::attach(const ClientSession& session, ProvenLane lane, session::LaneNumber number,
                           session::HelloMode mode) {
  try {
    session.tunnel->attach(std::move(lane.carrier), std::move(lane.accepted.keys), number, mode, lane.frames,
                           lane.record_bytes);
  } catch (const std::bad_alloc&) {
    session.tunnel->end(make_error(ErrorKind::kLimit, "no memory for a lane"));
    throw;
  }
}

Result<ClientSessionPtr> SessionServer::make_session(const SessionId& id, const tunnel::Claim& claim,
                                                     std::shared_ptr<Allowance> allowance) {
  if (registry_.size() >= options_.limits.max_sessions && !registry_.make_room(claim)) {
    return make_error(ErrorKind::kLimit, "too many sessions; raise --max-sessions");
  }
  const auto session = std::make_shared<ClientSession>();
  session->claim = claim;
  session->allowance = std::move(allowance);
  session->tunnel =
      std::make_shared<tunnel::Tunnel>(executor_, session_options(id), session_handlers(session));
  session->listeners = std::make_shared<Listeners>(
      listen_rules_, session->allowance, session->tunnel, options_.limits.max_flows == 0 ? nullptr : udp_,
      [weak = weak_from_this(), claim](const Listeners::Endpoint& endpoint) {
        const auto self = weak.lock();
        return self && self->registry_.take_listener(claim, endpoint);
      },
      claim);
  session->requests =
      std::make_shared<SessionRequests>(resolver_, echo_, session->allowance, session->tunnel, claim);
  registry_.add(session);
  return session;
}

session::Options SessionServer::session_options(const SessionId& id) const {
  session::Options options;
  options.role = session::Role::kExit;
  options.id = id;
  options.instance = instance_;
  options.max_streams = options_.limits.max_streams;
  options.max_flows = options_.limits.max_flows;
  options.max_listeners = kMaxListeners;  // rules may come later
  options.capabilities = find_capabilities(*echo_);
  options.orphan_seconds = static_cast<std::uint64_t>(options_.orphan_timeout.count());
  return options;
}

tunnel::Tunnel::Handlers SessionServer::session_handlers(const ClientSessionPtr& session) {
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
    if (const auto self = weak.lock()) self->on_freed();
  };
  handlers.on_end = [weak, weak_session](const Error& why) {
    const auto self = weak.lock();
    const auto it = weak_session.lock();
    if (self && it) self->on_end(it, why);
  };
  return handlers;
}

void SessionServer::on_orphaned(const ClientSessionPtr& session, const Error& why) {
  registry_.orphaned(session);
  log::info("a session lost its lane ({}); it is kept for {} s", why.text, options_.orphan_timeout.count());
  bound_orphans();
}

void SessionServer::on_end(const ClientSessionPtr& session, const Error& why) {
  session->listeners->close();
  registry_.remove(session);
  on_freed();
  tally_.over += session->tunnel->traffic();
  log::info("a session ended ({}); {} left", why.text, registry_.size());
  if (registry_.empty() && left_) std::exchange(left_, nullptr)();
}

void SessionServer::on_freed() {
  if (!leaving_) heap_trim_.later();
}

void SessionServer::set_limits(ExitLimits limits) {
  options_.limits = std::move(limits);
  streams_->set_options(stream_options(options_.limits));
  udp_->set_options(udp_options(options_.limits));
  listen_rules_->set(options_.limits.listen_rules);
  for (const auto& session : registry_.all()) session->listeners->recheck();
}

void SessionServer::network_changed() {
  for (const auto& session : registry_.all()) session->tunnel->network_changed();
}

bool SessionServer::leave(std::function<void()> left) {
  leaving_ = true;
  heap_trim_.cancel();
  for (const auto& session : registry_.all()) {
    session->listeners->close();
    session->tunnel->leave(session::GoawayCode::kShutdown, "");
  }
  if (!registry_.empty()) left_ = std::move(left);
  return !registry_.empty();
}

void SessionServer::end_all(const Error& why) {
  for (const auto& session : registry_.all()) session->tunnel->end(why);
}

StreamTally SessionServer::stream_tally() const {
  StreamTally out = streams_->tally();
  out.failed_streams[static_cast<std::size_t>(session::ResetCode::kNotAllowed)] += udp_->refused();
  return out;
}

}  // namespace zks::exit
