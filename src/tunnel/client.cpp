// SPDX-License-Identifier: MIT
#include "tunnel/client.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "tunnel/backoff.hpp"
#include "tunnel/deadline.hpp"

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;

constexpr auto kPairTimeout = 15s;  // the relay waits 10 s for the exit's half
constexpr auto kHandshakeTimeout = 10s;
constexpr auto kWaitForSession = 10s;  // a new stream waits this long for a session
constexpr auto kStopWithin = 5s;
// After a loss, for this long only the session's own exit is asked for.
constexpr auto kAskForItsExit = 1s;
// An exit that is missing at a live relay is probably being restarted. For this long the next attempt comes
// soon, however many failed.
constexpr auto kExitMayReturn = 30s;
constexpr auto kSoon = 700ms;
constexpr auto kRenewAgain = 60s;  // after a renewal that failed; the old lane serves on

Error goaway_error(session::GoawayCode code, const std::string& text) {
  switch (code) {
    case session::GoawayCode::kRevoked:
      return make_error(ErrorKind::kRefused,
                        "the exit ended the session: this link was revoked or has expired");
    case session::GoawayCode::kProtocolError:
      return make_error(ErrorKind::kProtocol, "the exit ended the session: " + printable(text));
    case session::GoawayCode::kShutdown:
      break;
  }
  return make_error(ErrorKind::kClosed, "the exit is shutting down");
}

}  // namespace

bool is_final(const Error& error) {
  constexpr int kTooManyRequests = 429;
  switch (error.kind) {
    case ErrorKind::kUsage:
    case ErrorKind::kUntrusted:
      return true;
    case ErrorKind::kRefused:
      return error.detail != kTooManyRequests && (error.detail < 500 || error.detail > 599);
    default:
      return false;
  }
}

Client::Client(asio::any_io_executor executor, ClientOptions options, Handlers handlers)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      changed_(executor_),
      pause_(executor_),
      stop_timer_(executor_),
      renew_timer_(executor_) {}

Client::~Client() = default;

void Client::start() {
  asio::co_spawn(executor_, run(shared_from_this()), [self = shared_from_this()](std::exception_ptr failure) {
    if (failure) {
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& e) {
        self->final_ = make_error(ErrorKind::kIo, e.what());
      }
    }
    self->stop_timer_.cancel();
    self->renew_timer_.cancel();
    self->wake_waiters();
    self->stopped();
  });
}

asio::awaitable<void> Client::run(std::shared_ptr<Client> self) {
  while (!self->stopping_ && !self->final_) {
    const auto connected = co_await self->connect_once();
    if (!connected) {
      self->report_failure(connected.error());
      if (!self->final_ && !self->stopping_) co_await self->back_off();
      continue;
    }
    while (self->up_) {
      if (self->renew_due_ && !self->stopping_) {
        co_await self->renew();
      } else {
        co_await self->changed_.wait();
      }
    }
    if (!self->stopping_ && !self->final_) co_await self->back_off();
  }
}

// Tries the relays in the link's order, the last good one first. The error is the last one; a final error
// counts only when no relay gave hope.
carrier::Task<> Client::connect_once() {
  std::optional<Error> worst;
  const std::size_t count = options_.link.relays.size();
  for (std::size_t i = 0; i < count && !stopping_; ++i) {
    const std::size_t relay = (relay_ + i) % count;
    const auto connected = co_await connect_to(relay);
    if (connected) {
      relay_ = relay;
      co_return Result<>();
    }
    if (!worst || !is_final(connected.error())) worst = connected.error();
  }
  co_return worst.value_or(make_error(ErrorKind::kClosed, "stopping"));
}

// Dials and shakes hands: what there is before a session.
carrier::Task<Client::Fresh> Client::make_lane(std::size_t relay, bool at_its_exit) {
  const RelayUrl& url = options_.link.relays[relay];
  log::debug("dialling {}", url.text());
  std::string target = "/v1/rooms/" + format_room(options_.link.room) + "/client";
  if (at_its_exit) target += "?instance=" + to_base64url(tunnel_->exit_instance());
  auto dialled = co_await carrier::dial(executor_, url, target, options_.dial);
  if (!dialled) co_return dialled.error();
  carrier::CarrierPtr carrier = std::move(*dialled);
  Deadline pair_deadline(*carrier, kPairTimeout);
  auto paired = co_await read_paired(*carrier);
  if (pair_deadline.expired())
    co_return make_error(ErrorKind::kTimeout, "the exit peer did not come in time");
  if (!paired) co_return paired.error();
  pair_deadline.disarm();
  Deadline deadline(*carrier, kHandshakeTimeout);
  auto keys = co_await initiate(*carrier, std::move(*paired), options_.link, options_.key);
  if (deadline.expired()) co_return make_error(ErrorKind::kTimeout, "the exit did not answer the handshake");
  if (!keys) co_return keys.error();
  co_return Fresh{std::move(carrier), std::move(*keys)};
}

carrier::Task<> Client::connect_to(std::size_t relay) {
  auto fresh = co_await make_lane(relay, wants_its_exit());
  if (!fresh) co_return fresh.error();
  if (stopping_) co_return make_error(ErrorKind::kClosed, "stopping");
  attach(std::move(*fresh));
  while (attaching_) co_await changed_.wait();
  if (up_) co_return Result<>();
  if (ended_because_.detail == carrier::close_code::kForbidden) co_return refused_by_exit();
  co_return ended_because_;
}

void Client::attach(Fresh fresh) {
  attaching_ = true;
  if (tunnel_) {
    tunnel_->attach(std::move(fresh.carrier), std::move(fresh.keys), ++last_lane_,
                    session::HelloMode::kResume);
    return;
  }
  session::Options session;
  session.role = session::Role::kClient;
  session.id = random_array<16>();
  tunnel_ = std::make_shared<Tunnel>(executor_, std::move(session), make_handlers());
  tunnel_->watch_lanes(options_.renew_bytes, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->on_renewal_due();
  });
  last_lane_ = 1;
  tunnel_->attach(std::move(fresh.carrier), std::move(fresh.keys), last_lane_, session::HelloMode::kNew);
}

// The successor is made while the old lane serves, and resumes the session as after a loss: what the old lane
// still had on its way is sent again, and for a round trip and a half nothing is.
asio::awaitable<void> Client::renew() {
  renew_due_ = false;
  auto fresh = co_await make_lane(relay_, /*at_its_exit=*/true);
  if (stopping_ || !tunnel_) co_return;
  if (!fresh) {
    log::warn("the lane could not be renewed: {}", fresh.error().text);
    renew_later(kRenewAgain);
    co_return;
  }
  attach(std::move(*fresh));
  while (attaching_) co_await changed_.wait();
}

void Client::renew_later(std::chrono::milliseconds delay) {
  renew_timer_.expires_after(delay);
  renew_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->on_renewal_due();
  });
}

void Client::on_renewal_due() {
  renew_due_ = true;
  changed_.notify();
}

// A session lives at one exit process. While that may still come back to this relay no other one is asked:
// it could only answer that it does not know the session.
bool Client::wants_its_exit() const {
  return tunnel_ && std::chrono::steady_clock::now() - lost_at_ < kAskForItsExit;
}

Tunnel::Handlers Client::make_handlers() {
  Tunnel::Handlers handlers;
  handlers.on_up = [weak = weak_from_this()](bool resumed) {
    if (const auto self = weak.lock()) self->on_up(resumed);
  };
  handlers.on_lane_lost = [weak = weak_from_this()](const Error& why) {
    if (const auto self = weak.lock()) self->on_lane_lost(why);
  };
  handlers.on_goaway = [weak = weak_from_this()](session::GoawayCode code, const std::string& text) {
    if (const auto self = weak.lock()) self->on_goaway(code, text);
  };
  handlers.on_end = [weak = weak_from_this()](const Error& why) {
    if (const auto self = weak.lock()) self->on_end(why);
  };
  return handlers;
}

void Client::on_up(bool resumed) {
  const bool renewed = resumed && up_;
  if (renewed) {
    log::info("the lane is renewed");
  } else if (resumed) {
    log::info("resumed: {} streams go on", tunnel_->open_streams());
  } else if (last_lane_ > 1) {
    log::warn("the exit does not know the session any more: its streams are reset, a new one is up");
  } else {
    log::info("session with the exit is up");
  }
  up_ = had_session_ = true;
  attaching_ = false;
  failures_ = 0;
  renew_due_ = false;
  // Clients that came together, after a restart of their relay, do not renew together.
  const std::chrono::milliseconds longest = options_.renew_after;
  renew_later(longest - jittered_pause(16, longest / 10));
  changed_.notify();
  wake_waiters();
  if (!renewed && handlers_.on_up) handlers_.on_up();
}

void Client::on_goaway(session::GoawayCode code, const std::string& text) {
  const Error error = goaway_error(code, text);
  if (code == session::GoawayCode::kRevoked) {
    final_ = error;
  } else {
    log::warn("{}", error.text);
  }
}

void Client::on_lane_lost(const Error& why) {
  if (up_) {
    lost_at_ = std::chrono::steady_clock::now();
    log::warn("the lane is lost: {}; streams wait for another one", why.text);
  }
  up_ = attaching_ = false;
  ended_because_ = why;
  changed_.notify();
}

void Client::on_end(const Error& why) {
  if (had_session_ && !stopping_ && !final_) log::warn("session lost: {}; its streams are reset", why.text);
  up_ = attaching_ = false;
  ended_because_ = why;
  tunnel_.reset();
  changed_.notify();
}

void Client::report_failure(const Error& error) {
  if (stopping_) return;
  if (is_final(error) && !had_session_) {
    final_ = error;
    return;
  }
  ++failures_;
  missing_exit_ = error.detail == carrier::close_code::kNoExit;
  log::warn("{}; trying again", error.text);
}

asio::awaitable<void> Client::back_off() {
  const bool may_return = missing_exit_ && std::chrono::steady_clock::now() - lost_at_ < kExitMayReturn;
  pause_.expires_after(jittered_pause(failures_, may_return ? kSoon : options_.reconnect_max));
  co_await pause_.async_wait(asio::as_tuple(asio::use_awaitable));
}

// Whoever asked may be gone before a session is up; its coroutine is then destroyed or cancelled at any wait.
class Client::Waiting {
 public:
  Waiting(Client& client, asio::steady_timer& timer) : client_(client), timer_(timer) {
    client_.waiters_.push_back(&timer_);
  }
  ~Waiting() { std::erase(client_.waiters_, &timer_); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Client& client_;
  asio::steady_timer& timer_;
};

void Client::wake_waiters() {
  for (asio::steady_timer* waiter : waiters_) waiter->cancel();
}

// Until `ready` or the patience is over, woken whenever a session or lane came up. False: the stream can't be
// opened any more, `code` says why.
asio::awaitable<bool> Client::wait_for(std::function<bool()> ready, asio::steady_timer& patience,
                                       session::ResetCode& code) {
  while (!ready()) {
    code = session::ResetCode::kSessionLost;
    if (stopping_ || final_) co_return false;
    code = session::ResetCode::kTimedOut;
    if (patience.expiry() <= std::chrono::steady_clock::now()) co_return false;
    const Waiting waiting(*this, patience);
    co_await patience.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    code = session::ResetCode::kCancelled;
    if (cancelled.cancelled() != asio::cancellation_type::none) co_return false;
  }
  co_return true;
}

asio::awaitable<OpenOutcome> Client::open(session::Destination destination) {
  const auto self = shared_from_this();
  asio::steady_timer patience(executor_, kWaitForSession);
  session::ResetCode code{};
  const std::function<bool()> is_up = [this] { return up_; };
  for (;;) {
    const bool up = co_await wait_for(is_up, patience, code);
    if (!up) co_return OpenOutcome{nullptr, code, {}};
    const auto tunnel = tunnel_;
    const session::LaneNumber lane = last_lane_;
    session::Destination copy = destination;
    auto outcome = co_await tunnel->open(std::move(copy));
    if (outcome.stream || outcome.code != session::ResetCode::kSessionLost) co_return outcome;
    // The session was lost before the exit answered: nothing of the stream was sent, so the next one is
    // asked.
    const std::function<bool()> is_other = [this, tunnel, lane] {
      return tunnel_ != tunnel || last_lane_ != lane;
    };
    const bool changed = co_await wait_for(is_other, patience, code);
    if (!changed) co_return OpenOutcome{nullptr, session::ResetCode::kSessionLost, {}};
  }
}

void Client::stopped() {
  if (handlers_.on_stopped) std::exchange(handlers_.on_stopped, nullptr)(final_);
}

void Client::network_changed() {
  if (tunnel_) tunnel_->network_changed();
  failures_ = 0;
  pause_.cancel();
}

void Client::stop() {
  if (stopping_) return;
  stopping_ = true;
  pause_.cancel();
  wake_waiters();
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
