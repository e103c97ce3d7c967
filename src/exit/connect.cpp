// SPDX-License-Identifier: MIT
#include "exit/connect.hpp"

#include <algorithm>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "carrier/signal.hpp"
#include "carrier/socket_options.hpp"
#include "carrier/spawn.hpp"
#include "exit/endpoint.hpp"

namespace zks::exit {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::Destination;
using session::ResetCode;
using std::chrono::steady_clock;
using TimePoint = steady_clock::time_point;

// How much a failure says about the destination; of several attempts the highest is reported.
int telling(ResetCode code) {
  switch (code) {
    case ResetCode::kConnectionRefused:
      return 5;
    case ResetCode::kTimedOut:
      return 4;
    case ResetCode::kHostUnreachable:
      return 3;
    case ResetCode::kNotAllowed:
      return 2;
    case ResetCode::kNetworkUnreachable:
      return 1;
    default:
      return 0;
  }
}

// The attempts of one connect. They own it together, so that a late one finds it when the race is over.
struct Race {
  explicit Race(const asio::any_io_executor& executor) : changed(executor) {}

  void failed(ResetCode code, std::string why) {
    ++failures;
    if (failures > 1 && telling(code) <= telling(worst)) return;
    worst = code;
    reason = std::move(why);
  }

  void end() {
    over = true;
    error_code ignored;
    for (const auto& socket : attempts) {
      if (socket != winner) socket->close(ignored);
    }
  }

  carrier::Signal changed;
  std::vector<std::shared_ptr<tcp::socket>> attempts;
  std::shared_ptr<tcp::socket> winner;
  ResetCode worst = ResetCode::kGeneralFailure;
  std::string reason;
  std::size_t failures = 0;
  bool over = false;
};

// Ends the race however its owner leaves, also by cancellation.
struct RaceGuard {
  std::shared_ptr<Race> race;
  ~RaceGuard() { race->end(); }
};

// On loopback a connect to an unused port of the ephemeral range can meet itself (simultaneous open).
bool is_connected_to_itself(const tcp::socket& socket) {
  error_code ec;
  const auto local = socket.local_endpoint(ec);
  if (ec) return false;
  const auto remote = socket.remote_endpoint(ec);
  return !ec && local == remote;
}

asio::awaitable<void> attempt(std::shared_ptr<Race> race, std::shared_ptr<tcp::socket> socket,
                              tcp::endpoint endpoint) {
  auto [ec] = co_await socket->async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  if (race->over) co_return;
  if (!ec && is_connected_to_itself(*socket)) ec = asio::error::connection_refused;
  if (ec) {
    error_code ignored;
    socket->close(ignored);
    race->failed(reset_code_of(ec), ec.message());
  } else if (!race->winner) {
    race->winner = socket;
  }
  race->changed.notify();
}

struct Target {
  std::string name;  // empty for an address
  std::vector<IpAddress> addresses;
  std::uint16_t port = 0;
};

ConnectOutcome failure(ResetCode code, std::string reason) {
  ConnectOutcome out;
  out.code = code;
  out.reason = std::move(reason);
  return out;
}

}  // namespace

std::optional<IpAddress> literal_address(const Destination& destination) {
  switch (destination.kind) {
    case Destination::Kind::kIpv4:
      return make_ipv4(destination.address.data());
    case Destination::Kind::kIpv6:
      return make_ipv6(destination.address.data());
    case Destination::Kind::kName:
      return parse_spelled_address(destination.name);
  }
  return std::nullopt;
}

namespace {

// Starts attempts one after another until one wins, all have failed or time is up. Each address is judged
// when its turn comes: the exit's own networks may have changed since the lookup.
class Attempts {
 public:
  Attempts(asio::any_io_executor executor, Target target, const Policy& policy, const ConnectOptions& options)
      : executor_(executor),
        target_(std::move(target)),
        policy_(policy),
        options_(options),
        race_(std::make_shared<Race>(executor)) {}

  asio::awaitable<ConnectOutcome> run(TimePoint deadline) {
    const RaceGuard guard{race_};
    TimePoint next_start = steady_clock::now();
    while (!race_->winner) {
      const TimePoint now = steady_clock::now();
      if (now >= deadline) {
        co_return failure(ResetCode::kTimedOut, "no answer in time");
      }
      const bool more = next_ < target_.addresses.size() && race_->attempts.size() < options_.max_attempts;
      const bool all_failed = race_->failures == race_->attempts.size();
      if (more && (now >= next_start || all_failed)) {
        if (start_next()) next_start = now + options_.attempt_delay;
        continue;
      }
      if (!more && all_failed) co_return refused();
      const TimePoint until = more ? std::min(next_start, deadline) : deadline;
      co_await race_->changed.wait_until(until);
    }
    co_return connected();
  }

 private:
  // False when the policy refuses the next address.
  bool start_next() {
    const IpAddress address = unmapped(target_.addresses[next_++]);
    Verdict verdict = policy_.judge(target_.name, address, target_.port);
    if (!verdict.allowed) {
      if (refusal_.empty()) refusal_ = std::move(verdict.reason);
      return false;
    }
    auto socket = std::make_shared<tcp::socket>(executor_);
    race_->attempts.push_back(socket);
    const auto endpoint = make_endpoint<tcp>(address, target_.port);
    asio::co_spawn(executor_, attempt(race_, socket, endpoint), carrier::RethrowFailure{});
    return true;
  }

  ConnectOutcome refused() const {
    if (race_->attempts.empty()) return failure(ResetCode::kNotAllowed, refusal_);
    return failure(race_->worst, race_->reason);
  }

  ConnectOutcome connected() const {
    error_code ec;
    const auto local = race_->winner->local_endpoint(ec);
    if (ec) return failure(ResetCode::kConnectionReset, ec.message());
    ConnectOutcome out;
    out.bound = make_destination(local);
    carrier::tune_socket(*race_->winner);
    out.socket.emplace(std::move(*race_->winner));
    return out;
  }

  asio::any_io_executor executor_;
  Target target_;
  const Policy& policy_;
  ConnectOptions options_;
  std::shared_ptr<Race> race_;
  std::size_t next_ = 0;
  std::string refusal_;
};

}  // namespace

asio::awaitable<ConnectOutcome> connect(asio::any_io_executor executor, Destination destination,
                                        std::shared_ptr<const Policy> policy,
                                        std::shared_ptr<Resolver> resolver, ConnectOptions options) {
  const TimePoint deadline = steady_clock::now() + options.timeout;
  Target target;
  target.port = destination.port;
  if (const auto literal = literal_address(destination)) {
    target.addresses.push_back(*literal);
  } else {
    target.name = destination.name;
    auto denied = policy->denied_by_name(target.name, target.port);
    if (denied) co_return failure(ResetCode::kNotAllowed, std::move(denied->reason));
    Resolution resolution = co_await resolver->resolve(destination.name, deadline);
    if (resolution.addresses.empty()) co_return failure(resolution.code, session::describe(resolution.code));
    target.addresses = std::move(resolution.addresses);
  }
  Attempts attempts(executor, std::move(target), *policy, options);
  co_return co_await attempts.run(deadline);
}

}  // namespace zks::exit
