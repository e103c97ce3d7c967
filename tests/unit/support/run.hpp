// SPDX-License-Identifier: MIT
//
// Runs coroutines of a test on one io_context until they are done, with a limit that only a hang reaches.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace zks::test {

namespace asio = boost::asio;

inline constexpr std::chrono::seconds kHangLimit{60};

// Counts a spawned coroutine as finished, and keeps its exception for the test.
struct Finish {
  int* running;
  std::exception_ptr* failure;
  void operator()(std::exception_ptr e) const {
    --*running;
    if (e) *failure = e;
  }
};

template <class... Coroutines>
void run(asio::io_context& io, Coroutines... coroutines) {
  int running = sizeof...(coroutines);
  std::exception_ptr failure;
  (asio::co_spawn(io, std::move(coroutines), Finish{&running, &failure}), ...);
  const auto deadline = std::chrono::steady_clock::now() + kHangLimit;
  io.restart();
  while (running > 0 && !failure && std::chrono::steady_clock::now() < deadline) {
    if (io.run_one_until(deadline) == 0) break;
  }
  if (failure) std::rethrow_exception(failure);
  if (running > 0) throw std::runtime_error("the test hangs");
}

// Until the condition holds. False when there is nothing left to run, or the test hangs.
template <class Condition>
bool run_until(asio::io_context& io, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kHangLimit;
  io.restart();
  while (!condition() && std::chrono::steady_clock::now() < deadline) {
    if (io.run_one_until(deadline) == 0) break;
  }
  return condition();
}

template <class T>
asio::awaitable<void> keep_result(asio::awaitable<T> coroutine, std::optional<T>* result) {
  result->emplace(co_await std::move(coroutine));
}

// One coroutine, beside whatever else the test started there; its result.
template <class T>
  requires(!std::is_void_v<T>)
T run(asio::io_context& io, asio::awaitable<T> coroutine) {
  std::optional<T> result;
  run(io, keep_result(std::move(coroutine), &result));
  return std::move(*result);
}

}  // namespace zks::test
