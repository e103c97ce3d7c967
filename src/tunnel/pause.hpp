// SPDX-License-Identifier: MIT
//
// Pause: a coroutine's wait that others may shorten or end. Executor: its owner's. One waiter.
#pragma once

#include <chrono>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::tunnel {

class Pause {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Pause(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  boost::asio::awaitable<void> wait(std::chrono::milliseconds duration) {
    until_ = Clock::now() + duration;
    while (Clock::now() < until_) {
      timer_.expires_at(until_);
      co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    until_ = {};
  }

  // Of the wait that is under way, no more than that is left.
  void shorten_to(std::chrono::milliseconds most) {
    const auto until = Clock::now() + most;
    if (until_ <= until) return;
    until_ = until;
    timer_.cancel();
  }
  void end() {
    until_ = {};
    timer_.cancel();
  }

 private:
  boost::asio::steady_timer timer_;
  Clock::time_point until_;
};

}  // namespace zks::tunnel
