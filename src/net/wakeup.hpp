// SPDX-License-Identifier: MIT
//
// Wakeup: what a coroutine sleeps on until another one of the same executor has something for it. It carries
// no state: the sleeper looks at its own condition again after each wait, so a wake-up too many does no harm.
// A notification without a sleeper is kept for the next wait, so none is lost; several are one.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::net {

class Wakeup {
 public:
  using TimePoint = boost::asio::steady_timer::time_point;

  explicit Wakeup(const boost::asio::any_io_executor& executor) : timer_(executor, TimePoint::max()) {}

  // At most one coroutine waits at a time.
  boost::asio::awaitable<void> wait() { return wait_until(TimePoint::max()); }
  boost::asio::awaitable<void> wait_until(TimePoint deadline) {
    if (!notified_) {
      if (timer_.expiry() != deadline) timer_.expires_at(deadline);
      waiting_ = true;
      co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
      waiting_ = false;
    }
    notified_ = false;
  }

  void notify() {
    if (notified_) return;
    notified_ = true;
    if (waiting_) timer_.cancel();
  }

 private:
  boost::asio::steady_timer timer_;
  bool notified_ = false;
  bool waiting_ = false;
};

}  // namespace zks::net
