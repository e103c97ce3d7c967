// SPDX-License-Identifier: MIT
//
// Several addresses of one destination become one connected TCP socket: each is tried a little after the one
// before, and the first that answers wins (RFC 8305, "Happy Eyeballs"). Whoever connects to a name goes
// through here: dials of relays (connect.hpp), the exit (exit/connect.hpp) and reverse forwards.
//
// Executor: the one given. It may be left by cancellation; attempts that are under way are then closed.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "carrier/carrier.hpp"

namespace zks::carrier {

struct RaceOptions {
  // RFC 8305, section 8: "Connection Attempt Delay".
  std::chrono::milliseconds attempt_delay{250};
  // Names with more addresses exist; the first ones decide.
  std::size_t max_attempts = 8;
};

// What is tried, and how.
struct Course {
  // The next address, asked for when its attempt is to start; null when there are no more.
  std::function<std::optional<asio::ip::tcp::endpoint>()> next;
  // Connects a socket that is not open yet. Empty: as every program does. Called as often as there are
  // addresses; what it captures lives as long as the last attempt.
  std::function<Task<>(asio::ip::tcp::socket*, asio::ip::tcp::endpoint)> connect;
};

struct RaceOutcome {
  std::optional<asio::ip::tcp::socket> winner;
  std::vector<Error> failures;  // of attempts, in the order in which they failed; detail is errno
  bool timed_out = false;
};

// The addresses of a list, in its order.
std::function<std::optional<asio::ip::tcp::endpoint>()> each_of(
    std::vector<asio::ip::tcp::endpoint> addresses);

// Connects `socket`, opened or not. kNetwork with errno as detail.
Task<> connect_socket(asio::ip::tcp::socket* socket, asio::ip::tcp::endpoint endpoint);

asio::awaitable<RaceOutcome> race(asio::any_io_executor executor, Course course,
                                  std::chrono::steady_clock::time_point deadline, RaceOptions options);

}  // namespace zks::carrier
