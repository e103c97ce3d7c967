// SPDX-License-Identifier: MIT
#include "tunnel/client.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "net/on_end.hpp"
#include "tunnel/client_flow.hpp"
#include "tunnel/deadline.hpp"

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;

constexpr auto kWaitForSession = 10s;  // a new stream waits this long for a session
constexpr auto kStopWithin = 5s;
// After a loss, for this long only the session's own exit is asked for.
constexpr auto kAskForItsExit = 1s;
// An exit that is missing at a live relay is probably being restarted. For this long the next attempt comes
// soon, however many failed.
constexpr auto kExitMayReturn = 30s;
constexpr auto kSoon = 700ms;
// While a connection waits for a session the next attempt comes within this time, however many failed: well
// within kWaitForSession.
constexpr auto kAwaited = 4s;

Error goaway_error(session::GoawayCode code, const std::string& text) {
  switch (code) {
    case session::GoawayCode::kRevoked:
      return make_error(ErrorKind::kRefused,
                        "the exit ended the session: this link was revoked or has expired");
    case session::GoawayCode::kProtocolError:
      return make_error(ErrorKind::kProtocol, "the exit ended the session: " + printable(text));
    case session::GoawayCode::kShutdown:
      if (text.empty()) break;
      return make_error(ErrorKind::kClosed, "the exit ended the session: " + printable(text));
  }
  return make_error(ErrorKind::kClosed, "the exit is shutting down");
}

}  // namespace

Client::Client(asio::any_io_executor executor, ClientOptions options, Handlers handlers)
    : executor_(std::move(executor)),
      source_(std::make_shared<LaneSource>(std::move(options.source))),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      lanes_({options_.lanes, options_.reconnect_max, options_.renew_after}),
      changed_(executor_),
      // At random, since many may lose one relay together.
      waiters_([this] { pause_.shorten_to(backoff_.pause(std::chrono::steady_clock::now(), kAwaited)); }),
      pause_(executor_),
      begin_again_(executor_),
      stop_timer_(executor_),
      listeners_(std::make_shared<RemoteListeners>(executor_)),
      clock_(executor_),
      heap_trim_(executor_) {}

Client::~Client() = default;

void Client::start() {
  memory_.emplace(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->relieve_memory();
  });
  begin();
}

void Client::begin() {
  const auto over = [self = shared_from_this()](const std::exception_ptr& failure) {
    if (failure) {
      try {
        std::rethrow_exception(failure);
      } catch (const std::bad_alloc&) {
        if (!self->state_.is_ending()) return self->begin_again();
      } catch (const std::exception& e) {
        self->state_.failed_for_good(make_error(ErrorKind::kIo, e.what()));
      }
    }
    self->memory_.reset();
    self->heap_trim_.cancel();
    self->stop_timer_.cancel();
    self->clock_.cancel();
    self->listeners_->session_over();
    self->waiters_.close();
    self->stopped();
  };
  asio::co_spawn(executor_, run(shared_from_this()), net::OnEnd(executor_, over));
}

asio::awaitable<void> Client::run(std::shared_ptr<Client> self) {
  while (!self->state_.is_ending()) {
    if (self->lanes_.empty()) {
      const auto connected = co_await self->connect_once();
      if (!connected) {
        self->report_failure(connected.error());
        const bool no_exit = connected.error().detail == carrier::close_code::kNoExit;
        if (!self->state_.is_ending()) co_await self->back_off(no_exit);
        continue;
      }
    }
    co_await self->serve_lanes();
    if (!self->state_.is_ending()) co_await self->back_off(false);
  }
}

// Begins with the relay that worked last; after one that came as far as a session and failed there, with the
// next.
carrier::Task<> Client::connect_once() {
  auto fresh = co_await make_lane(relay_, [this] { return wants_its_exit(); });
  if (!fresh) co_return fresh.error();
  if (state_.is_ending()) co_return make_error(ErrorKind::kClosed, "stopping");
  relay_ = fresh->relay;
  const auto lane = co_await attach(std::move(*fresh));
  if (lane) co_return Result<>();
  relay_ = (relay_ + 1) % source_->link.relays.size();
  if (lane.error().detail == carrier::close_code::kForbidden) co_return refused_by_exit();
  if (lane.error().detail == carrier::close_code::kGoingAway) co_return not_now();
  co_return lane.error();
}

carrier::Task<FreshLane> Client::make_lane(std::size_t relay, std::function<bool()> at_its_exit) {
  return dial_lane(executor_, source_, relay,
                   [this, asked = std::move(at_its_exit)]() -> std::optional<InstanceId> {
                     if (!tunnel_ || !asked()) return std::nullopt;
                     return tunnel_->exit_instance();
                   });
}

// Until it is welcomed, or over.
carrier::Task<session::LaneNumber> Client::attach(FreshLane fresh) {
  session::HelloMode mode = lanes_.empty() ? session::HelloMode::kResume : session::HelloMode::kJoin;
  if (!tunnel_) {
    begin_session();
    mode = session::HelloMode::kNew;
  }
  const session::LaneNumber lane = lanes_.attach();
  tunnel_->attach(std::move(fresh.carrier), std::move(fresh.keys), lane, mode);
  while (lanes_.attaching(lane)) co_await changed_.wait();
  if (lanes_.serves(lane)) co_return lane;
  co_return lanes_.why_over();
}

void Client::begin_session() {
  session::Options session;
  session.max_flows = kMaxClientFlows;
  session.role = session::Role::kClient;
  session.id = random_array<16>();
  tunnel_ = std::make_shared<Tunnel>(executor_, std::move(session), make_handlers());
  tunnel_->watch_lanes(options_.renew_bytes, [weak = weak_from_this()](session::LaneNumber lane) {
    const auto self = weak.lock();
    if (!self) return;
    self->lanes_.renew_now(lane);
    self->changed_.notify();
  });
  lanes_.begin_session();
}

// A session lives at one exit process. While that may still come back to this relay no other one is asked:
// it could only answer that it does not know the session.
bool Client::wants_its_exit() const {
  return tunnel_ && lanes_.since_lost(std::chrono::steady_clock::now()) < kAskForItsExit;
}

Tunnel::Handlers Client::make_handlers() {
  Tunnel::Handlers handlers;
  handlers.on_up = [weak = weak_from_this()](session::LaneNumber lane, session::HelloMode mode) {
    if (const auto self = weak.lock()) self->on_up(lane, mode);
  };
  handlers.on_connection = [listeners = listeners_](session::ListenerId id, StreamPtr stream,
                                                    session::Destination from) {
    listeners->on_connection(id, std::move(stream), std::move(from));
  };
  const auto of_listener = [listeners = listeners_](const auto& event) { listeners->on(event); };
  handlers.on_listening = of_listener;
  handlers.on_unlisten = of_listener;
  handlers.on_lane_lost = [weak = weak_from_this()](session::LaneNumber lane, const Error& why) {
    if (const auto self = weak.lock()) self->on_lane_lost(lane, why);
  };
  handlers.on_silence = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->changed_.notify();
  };
  handlers.on_goaway = [weak = weak_from_this()](session::GoawayCode code, const std::string& text) {
    if (const auto self = weak.lock()) self->on_goaway(code, text);
  };
  handlers.on_freed = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->heap_trim_.later();
  };
  handlers.on_end = [weak = weak_from_this()](const Error& why) {
    if (const auto self = weak.lock()) self->on_end(why);
  };
  return handlers;
}

void Client::log_up(session::HelloMode mode, bool was_up) const {
  if (mode == session::HelloMode::kJoin && was_up) {
    log::info("a lane joined the session; it has {}", lanes_.size());
  } else if (mode != session::HelloMode::kNew) {
    log::info("resumed: {} streams go on", tunnel_->open_streams());
  } else if (lanes_.newest() > 1) {
    log::warn("the exit does not know the session any more: its streams are reset, a new one is up");
  } else {
    log::info("session with the exit is up");
  }
}

void Client::on_up(session::LaneNumber lane, session::HelloMode mode) {
  const auto now = std::chrono::steady_clock::now();
  const bool was_up = !lanes_.empty();
  lanes_.welcomed(lane, now);
  log_up(mode, was_up);
  if (!was_up) backoff_.began(now);
  state_.came_up(mode, was_up);
  exit_capabilities_ = tunnel_->exit_capabilities();
  changed_.notify();
  waiters_.wake();
  if (was_up) return;
  if (mode == session::HelloMode::kNew) listeners_->session_over();  // that of before
  if (handlers_.on_up) handlers_.on_up();
  listeners_->session_up(tunnel_);
}

void Client::on_goaway(session::GoawayCode code, const std::string& text) {
  const Error error = goaway_error(code, text);
  if (code == session::GoawayCode::kRevoked) {
    state_.failed_for_good(error);
  } else if (!state_.is_ending()) {  // else it answers what we said ourselves
    log::warn("{}", error.text);
    backoff_.began(std::chrono::steady_clock::now());  // what it ends is no success, however long it lived
  }
}

void Client::on_lane_lost(session::LaneNumber lane, const Error& why) {
  const auto now = std::chrono::steady_clock::now();
  const LaneSet::Loss loss = lanes_.lost(lane, why, now);
  if (loss != LaneSet::Loss::kNeverServed) state_.lost_lane(why, loss == LaneSet::Loss::kLast);
  if (loss == LaneSet::Loss::kOthersServe) {
    log::warn("a lane is lost: {}; its streams go on with another one", why.text);
  } else if (loss == LaneSet::Loss::kLast) {
    backoff_.ended(now);
    log::warn("the lane is lost: {}; streams wait for another one", why.text);
  }
  changed_.notify();
}

void Client::on_end(const Error& why) {
  if (state_.had_session() && !state_.is_ending())
    log::warn("session lost: {}; its streams are reset", why.text);
  if (!lanes_.empty()) backoff_.ended(std::chrono::steady_clock::now());
  lanes_.session_over(why);
  if (tunnel_) state_.session_over(tunnel_->traffic(), why);
  listeners_->session_over();
  tunnel_.reset();
  heap_trim_.later();
  changed_.notify();
}

void Client::report_failure(const Error& error) {
  if (state_.is_ending()) return;
  state_.failed(error);
  if (!state_.had_session() && (options_.once || is_final(error))) {
    state_.failed_for_good(error);
    return;
  }
  backoff_.failed(std::chrono::steady_clock::now());
  log::warn("{}; trying again", error.text);
}

asio::awaitable<void> Client::back_off(bool no_exit) {
  const bool may_return = no_exit && lanes_.since_lost(std::chrono::steady_clock::now()) < kExitMayReturn;
  std::chrono::milliseconds longest = may_return ? kSoon : options_.reconnect_max;
  if (!waiters_.empty()) longest = std::min<std::chrono::milliseconds>(longest, kAwaited);
  co_await pause_.wait(backoff_.pause(std::chrono::steady_clock::now(), longest));
}

asio::awaitable<OpenOutcome> Client::open(session::Destination destination) {
  const auto self = shared_from_this();
  asio::steady_timer patience(executor_, kWaitForSession);
  const std::function<bool()> is_up = [this] { return !lanes_.empty(); };
  for (;;) {
    const auto refused = co_await waiters_.wait(is_up, patience);
    if (refused) co_return OpenOutcome{nullptr, *refused, {}};
    const auto tunnel = tunnel_;
    const session::LaneNumber lane = lanes_.newest();
    session::Destination copy = destination;
    auto outcome = co_await tunnel->open(std::move(copy));
    if (!outcome.stream && outcome.code == session::ResetCode::kQuotaUsedUp) tell_of_quota();
    if (outcome.stream || outcome.code != session::ResetCode::kSessionLost) co_return outcome;
    // The session was lost before the exit answered: nothing of the stream was sent, so the next one is
    // asked.
    const std::function<bool()> is_other = [this, tunnel, lane] {
      return tunnel_ != tunnel || lanes_.newest() != lane;
    };
    const auto none = co_await waiters_.wait(is_other, patience);
    if (none) co_return OpenOutcome{nullptr, session::ResetCode::kSessionLost, {}};
  }
}

Result<FlowPtr> Client::open_flow(FlowHandlers handlers) {
  ClientFlow::Open open = [weak = weak_from_this()]() -> Result<SessionFlowPtr> {
    const auto self = weak.lock();
    if (!self || !self->tunnel_) return make_error(ErrorKind::kClosed, "no session is up");
    return self->tunnel_->open_flow();
  };
  auto flow = std::make_unique<ClientFlow>(std::move(open), std::move(handlers));
  const auto begun = flow->begin();
  if (!begun && begun.error().kind != ErrorKind::kClosed) return begun.error();
  return flow;
}

asio::awaitable<Result<Bytes>> Client::resolve(Bytes query) {
  const auto self = shared_from_this();
  const auto tunnel = tunnel_;
  if (lanes_.empty() || !tunnel) co_return make_error(ErrorKind::kClosed, "no session is up");
  co_return co_await tunnel->resolve(std::move(query));
}

Result<> Client::echo(EchoRequest request, EchoHandler handler) {
  if (lanes_.empty() || !tunnel_) return make_error(ErrorKind::kClosed, "no session is up");
  return tunnel_->echo(request, std::move(handler));
}

// SOCKS5 has no words for it; the program that asked only hears "not allowed".
void Client::tell_of_quota() {
  if (!quota_notice_.is_due(std::chrono::steady_clock::now())) return;
  log::warn("the exit makes no connections: {}", session::describe(session::ResetCode::kQuotaUsedUp));
}

void Client::stopped() {
  if (handlers_.on_stopped) std::exchange(handlers_.on_stopped, nullptr)(state_.final_error());
}

ClientStatus Client::status() const {
  ClientStatus out;
  state_.fill(out);
  out.lanes_wanted = options_.lanes;
  if (!tunnel_) return out;
  out.traffic += tunnel_->traffic();
  if (!state_.had_session()) return out;
  out.session = tunnel_->status();
  if (tunnel_->exit_instance() != InstanceId{}) out.exit_instance = tunnel_->exit_instance();
  return out;
}

void Client::network_changed() {
  source_->dialler->network_changed();
  if (tunnel_) tunnel_->network_changed();
  backoff_.reset();
  lanes_.network_changed();
  pause_.end();
  changed_.notify();
}

void Client::stop() {
  if (state_.state() == ClientState::State::kStopping) return;
  state_.stopping();
  stop_listening();
  pause_.end();
  begin_again_.cancel();
  waiters_.close();
  if (tunnel_) tunnel_->leave(session::GoawayCode::kShutdown, "");
  if (!tunnel_) {  // nothing to finish; a dial that is under way ends by itself
    asio::post(executor_, [self = shared_from_this()] { self->stopped(); });
    return;
  }
  stop_timer_.expires_after(kStopWithin);
  stop_timer_.async_wait([weak = std::weak_ptr(tunnel_)](const boost::system::error_code& ec) {
    const auto tunnel = weak.lock();
    if (!ec && tunnel) tunnel->end(make_error(ErrorKind::kClosed, "stopped"));
  });
}

}  // namespace zks::tunnel
