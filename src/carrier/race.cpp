// SPDX-License-Identifier: MIT
#include "carrier/race.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "carrier/signal.hpp"
#include "carrier/spawn.hpp"

namespace zks::carrier {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::steady_clock;
using TimePoint = steady_clock::time_point;

// The attempts of one race. They own it together, so that a late one finds it when the race is over.
struct Race {
  Race(const asio::any_io_executor& executor, Course chosen) : course(std::move(chosen)), changed(executor) {}

  void end() {
    over = true;
    error_code ignored;
    for (const auto& socket : attempts) {
      if (socket != winner) socket->close(ignored);
    }
  }

  Course course;
  Signal changed;
  std::vector<std::shared_ptr<tcp::socket>> attempts;
  std::shared_ptr<tcp::socket> winner;
  std::vector<Error> failures;
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
  auto connecting = race->course.connect ? race->course.connect(socket.get(), endpoint)
                                         : connect_socket(socket.get(), endpoint);
  auto connected = co_await std::move(connecting);
  if (connected && is_connected_to_itself(*socket)) {
    const error_code refused = asio::error::connection_refused;
    connected = make_error(ErrorKind::kNetwork, refused.message(), refused.value());
  }
  const bool lost = !connected || race->winner || race->over;
  error_code ignored;
  if (lost) socket->close(ignored);
  if (race->over) co_return;
  if (!connected) race->failures.push_back(connected.error());
  if (!lost) race->winner = socket;
  race->changed.notify();
}

}  // namespace

std::function<std::optional<tcp::endpoint>()> each_of(std::vector<tcp::endpoint> addresses) {
  return [left = std::move(addresses), at = std::size_t{0}]() mutable -> std::optional<tcp::endpoint> {
    if (at == left.size()) return std::nullopt;
    return left[at++];
  };
}

Task<> connect_socket(tcp::socket* socket, tcp::endpoint endpoint) {
  auto [ec] = co_await socket->async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  if (ec) co_return make_error(ErrorKind::kNetwork, ec.message(), ec.value());
  co_return Result<>();
}

asio::awaitable<RaceOutcome> race(asio::any_io_executor executor, Course course, TimePoint deadline,
                                  RaceOptions options) {
  const auto running = std::make_shared<Race>(executor, std::move(course));
  const RaceGuard guard{running};
  bool more = true;
  TimePoint next_start = steady_clock::now();
  while (!running->winner && steady_clock::now() < deadline) {
    const bool all_failed = running->failures.size() == running->attempts.size();
    more = more && running->attempts.size() < options.max_attempts;
    if (more && (all_failed || steady_clock::now() >= next_start)) {
      const auto endpoint = running->course.next();
      more = endpoint.has_value();
      if (!more) continue;
      auto socket = std::make_shared<tcp::socket>(executor);
      running->attempts.push_back(socket);
      next_start = steady_clock::now() + options.attempt_delay;
      asio::co_spawn(executor, attempt(running, std::move(socket), *endpoint), RethrowFailure{});
      continue;
    }
    if (all_failed) break;
    co_await running->changed.wait_until(more ? std::min(next_start, deadline) : deadline);
  }
  RaceOutcome out;
  out.failures = running->failures;
  if (running->winner) {
    out.winner.emplace(std::move(*running->winner));
  } else {
    out.timed_out = running->failures.size() < running->attempts.size() || steady_clock::now() >= deadline;
  }
  co_return out;
}

}  // namespace zks::carrier
