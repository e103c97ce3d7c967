// SPDX-License-Identifier: MIT
//
// Wakeup: lets one coroutine sleep until another piece of code on the same executor has something for it. A
// notification without a sleeper is kept for the next wait, so none is lost.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::tunnel {

namespace asio = boost::asio;

class Wakeup {
 public:
  explicit Wakeup(const asio::any_io_executor& executor)
      : timer_(executor, asio::steady_timer::time_point::max()) {}

  // At most one coroutine waits at a time.
  asio::awaitable<void> wait() {
    if (!notified_) {
      waiting_ = true;
      co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
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
  asio::steady_timer timer_;
  bool notified_ = false;
  bool waiting_ = false;
};

}  // namespace zks::tunnel
