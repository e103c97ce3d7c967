// SPDX-License-Identifier: MIT
//
// Signal: what a coroutine waits on until another one of the same executor changed something. It carries no
// state: the waiter looks at its own condition again after each wait, so a wake-up too many does no harm. One
// waiter.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::carrier {

class Signal {
 public:
  using TimePoint = boost::asio::steady_timer::time_point;

  explicit Signal(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  void notify() { timer_.cancel(); }

  boost::asio::awaitable<void> wait() { return wait_until(TimePoint::max()); }
  boost::asio::awaitable<void> wait_until(TimePoint deadline) {
    timer_.expires_at(deadline);
    co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace zks::carrier
