// SPDX-License-Identifier: MIT
#include "net/race.hpp"

#include <algorithm>
#include <cerrno>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/spawn.hpp"
#include "net/wakeup.hpp"

namespace zks::net {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::steady_clock;
using TimePoint = steady_clock::time_point;

// The attempts of one race. They own it together, so that a late one finds it when the race is over.
struct Race {
  Race(const asio::any_io_executor& executor, NextAttempt chosen, RaceOptions chosen_options)
      : next(std::move(chosen)), options(chosen_options), changed(executor) {}

  void postpone(std::chrono::milliseconds by) {
    next_start = std::max(next_start, steady_clock::now() + by);
    changed.notify();
  }
  bool may_start() const {
    return more && under_way.size() < options.max_under_way &&
           (under_way.empty() || steady_clock::now() >= next_start);
  }
  void end() {
    over = true;
    for (const auto& attempt : under_way) attempt->abort();
  }

  NextAttempt next;
  RaceOptions options;
  Wakeup changed;
  TimePoint next_start = steady_clock::now();
  std::vector<std::shared_ptr<Attempt>> under_way;
  std::shared_ptr<Attempt> winner;
  std::vector<Error> failures;
  std::size_t started = 0;
  bool more = true;
  bool over = false;
};

// Ends the race however its owner leaves, also by cancellation.
struct RaceGuard {
  std::shared_ptr<Race> race;
  ~RaceGuard() { race->end(); }
};

asio::awaitable<void> run_attempt(std::shared_ptr<Race> race, std::shared_ptr<Attempt> attempt) {
  auto running = attempt->run([weak = std::weak_ptr(race)] {
    const auto running_race = weak.lock();
    if (running_race) running_race->postpone(running_race->options.connected_delay);
  });
  const auto made = co_await std::move(running);
  if (race->over) co_return;
  std::erase(race->under_way, attempt);
  if (!made) {
    race->failures.push_back(made.error());
  } else if (!race->winner) {
    race->winner = attempt;
  }
  race->changed.notify();
}

// On loopback a connect to an unused port of the ephemeral range can meet itself (simultaneous open).
bool is_connected_to_itself(const tcp::socket& socket) {
  error_code ec;
  const auto local = socket.local_endpoint(ec);
  if (ec) return false;
  const auto remote = socket.remote_endpoint(ec);
  return !ec && local == remote;
}

class SocketAttempt final : public Attempt {
 public:
  SocketAttempt(const asio::any_io_executor& executor, tcp::endpoint endpoint, const Course& course)
      : socket_(executor), endpoint_(std::move(endpoint)), connect_(course.connect) {}

  Task<> run(std::function<void()> /*on_connected*/) override {
    auto connecting = connect_ ? connect_(&socket_, endpoint_) : connect_socket(&socket_, endpoint_);
    return connecting;
  }
  void abort() override {
    error_code ignored;
    socket_.close(ignored);
  }
  tcp::socket take() { return std::move(socket_); }

 private:
  tcp::socket socket_;
  tcp::endpoint endpoint_;
  std::function<Task<>(tcp::socket*, tcp::endpoint)> connect_;
};

}  // namespace

std::function<std::optional<tcp::endpoint>()> each_of(std::vector<tcp::endpoint> addresses) {
  return [left = std::move(addresses), at = std::size_t{0}]() mutable -> std::optional<tcp::endpoint> {
    if (at == left.size()) return std::nullopt;
    return left[at++];
  };
}

Task<> connect_socket(tcp::socket* socket, tcp::endpoint endpoint) {
  auto [ec] = co_await socket->async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  if (!ec && is_connected_to_itself(*socket)) ec = asio::error::connection_refused;
  if (ec) {
    error_code ignored;
    socket->close(ignored);
    co_return make_error(ErrorKind::kNetwork, ec.message(), ec.value());
  }
  co_return Result<>();
}

asio::awaitable<AttemptsOutcome> race_attempts(asio::any_io_executor executor, NextAttempt next,
                                               TimePoint deadline, RaceOptions options) {
  const auto race = std::make_shared<Race>(executor, std::move(next), options);
  const RaceGuard guard{race};
  while (!race->winner && steady_clock::now() < deadline) {
    race->more = race->more && race->started < options.max_attempts;
    if (race->may_start()) {
      auto attempt = race->next();
      race->more = attempt != nullptr;
      if (!race->more) continue;
      ++race->started;
      race->under_way.push_back(attempt);
      const bool round_over = race->started == options.first_round;
      race->next_start = steady_clock::now() + (round_over ? options.connected_delay : options.attempt_delay);
      asio::co_spawn(executor, run_attempt(race, std::move(attempt)), RethrowFailure{});
      continue;
    }
    if (race->under_way.empty()) break;
    const bool waits_to_start = race->more && race->under_way.size() < options.max_under_way;
    co_await race->changed.wait_until(waits_to_start ? std::min(race->next_start, deadline) : deadline);
  }
  AttemptsOutcome out{race->winner, race->failures};
  out.timed_out = !out.winner && (!race->under_way.empty() || steady_clock::now() >= deadline);
  co_return out;
}

asio::awaitable<RaceOutcome> race(asio::any_io_executor executor, Course course, TimePoint deadline,
                                  RaceOptions options) {
  const auto shared = std::make_shared<Course>(std::move(course));
  NextAttempt next = [executor, shared]() -> std::shared_ptr<Attempt> {
    const auto endpoint = shared->next();
    if (!endpoint) return nullptr;
    return std::make_shared<SocketAttempt>(executor, *endpoint, *shared);
  };
  auto outcome = co_await race_attempts(executor, std::move(next), deadline, options);
  RaceOutcome out{std::nullopt, std::move(outcome.failures), outcome.timed_out};
  if (outcome.winner) out.winner.emplace(static_cast<SocketAttempt&>(*outcome.winner).take());
  co_return out;
}

}  // namespace zks::net
