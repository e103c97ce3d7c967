// SPDX-License-Identifier: MIT
//
// Coroutines that wait for what may come to any of them, each with patience of its own, where net::Wakeup has
// one that sleeps. Each looks at its own condition again after a wait.
//
// Executor: one, that of the timers. Lifetime: outlives its entries.
#pragma once

#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::tunnel {

namespace asio = boost::asio;

class WaitList {
 public:
  // One that waits, or is about to. A coroutine that is destroyed at its wait leaves nothing here.
  class Entry {
   public:
    Entry(WaitList& list, asio::steady_timer& patience) : list_(list), patience_(patience) {
      list_.timers_.push_back(&patience_);
    }
    ~Entry() { std::erase(list_.timers_, &patience_); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    // Until wake(), or until the patience is over. False: whoever waits is cancelled.
    asio::awaitable<bool> wait() {
      co_await patience_.async_wait(asio::as_tuple(asio::use_awaitable));
      const auto state = co_await asio::this_coro::cancellation_state;
      co_return state.cancelled() == asio::cancellation_type::none;
    }

   private:
    WaitList& list_;
    asio::steady_timer& patience_;
  };

  void wake() {
    for (asio::steady_timer* timer : timers_) timer->cancel();
  }
  bool empty() const { return timers_.empty(); }
  std::size_t size() const { return timers_.size(); }

 private:
  std::vector<asio::steady_timer*> timers_;
};

}  // namespace zks::tunnel
