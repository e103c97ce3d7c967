// SPDX-License-Identifier: MIT
//
// Several addresses of one destination become one connection: each is tried a little after the one before,
// and the first that answers wins (RFC 8305, "Happy Eyeballs"). Whoever connects to a name goes through here:
// dials of relays (reach.hpp), the exit (exit/connect.hpp) and reverse forwards (connect.hpp).
//
// Executor: the one given. It may be left by cancellation; attempts that are under way are then ended.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "net/task.hpp"

namespace zks::net {

struct RaceOptions {
  // RFC 8305, section 8: "Connection Attempt Delay".
  std::chrono::milliseconds attempt_delay{250};
  // Before the next one, once an attempt has a TCP connection and goes on to more, such as TLS: long enough
  // for several round trips of a slow link, so that a relay is not asked twice for nothing.
  std::chrono::milliseconds connected_delay{1'500};
  // After so many attempts, all addresses were tried once: the next one waits for connected_delay.
  std::size_t first_round = std::numeric_limits<std::size_t>::max();
  std::size_t max_under_way = 8;
  std::size_t max_attempts = 32;  // a name with more addresses exists; the first ones decide
};

// A connection to one address, in the making.
class Attempt {
 public:
  virtual ~Attempt() = default;
  // Once. `on_connected`: there is a TCP connection, and the rest goes on; it may be left out.
  virtual Task<> run(std::function<void()> on_connected) = 0;
  // Ends run() with an error, wherever it is. Not after it succeeded.
  virtual void abort() = 0;
};

// The attempt at the next address, asked for when it is to start; null when there are no more.
using NextAttempt = std::function<std::shared_ptr<Attempt>()>;

struct AttemptsOutcome {
  std::shared_ptr<Attempt> winner;
  std::vector<Error> failures;  // of attempts, in the order in which they failed; detail is errno
  bool timed_out = false;
};

asio::awaitable<AttemptsOutcome> race_attempts(asio::any_io_executor executor, NextAttempt next,
                                               std::chrono::steady_clock::time_point deadline,
                                               RaceOptions options);

// The same where a TCP connection is all that is wanted.
struct Course {
  // The next address, as of NextAttempt.
  std::function<std::optional<asio::ip::tcp::endpoint>()> next;
  // Connects a socket that is not open yet. Empty: as every program does. Called as often as there are
  // addresses; what it captures lives as long as the last attempt.
  std::function<Task<>(asio::ip::tcp::socket*, asio::ip::tcp::endpoint)> connect;
};

struct RaceOutcome {
  std::optional<asio::ip::tcp::socket> winner;
  std::vector<Error> failures;
  bool timed_out = false;
};

// The addresses of a list, in its order.
std::function<std::optional<asio::ip::tcp::endpoint>()> each_of(
    std::vector<asio::ip::tcp::endpoint> addresses);

// Connects `socket`, opened or not. kNetwork with errno as detail; ECONNREFUSED also when it met itself.
Task<> connect_socket(asio::ip::tcp::socket* socket, asio::ip::tcp::endpoint endpoint);

asio::awaitable<RaceOutcome> race(asio::any_io_executor executor, Course course,
                                  std::chrono::steady_clock::time_point deadline, RaceOptions options);

}  // namespace zks::net
