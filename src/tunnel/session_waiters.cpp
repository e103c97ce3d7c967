// SPDX-License-Identifier: MIT
#include "tunnel/session_waiters.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::tunnel {

class SessionWaiters::Waiter {
 public:
  Waiter(SessionWaiters& waiters, asio::steady_timer& timer) : waiters_(waiters), timer_(timer) {
    waiters_.timers_.push_back(&timer_);
    waiters_.on_wait_();
  }
  ~Waiter() { std::erase(waiters_.timers_, &timer_); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

 private:
  SessionWaiters& waiters_;
  asio::steady_timer& timer_;
};

asio::awaitable<std::optional<session::ResetCode>> SessionWaiters::wait(std::function<bool()> ready,
                                                                        asio::steady_timer& patience) {
  while (!ready()) {
    if (closed_) co_return session::ResetCode::kSessionLost;
    if (patience.expiry() <= std::chrono::steady_clock::now()) co_return session::ResetCode::kTimedOut;
    const Waiter waiter(*this, patience);
    co_await patience.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none) co_return session::ResetCode::kCancelled;
  }
  co_return std::nullopt;
}

void SessionWaiters::wake() {
  for (asio::steady_timer* timer : timers_) timer->cancel();
}

void SessionWaiters::close() {
  closed_ = true;
  wake();
}

}  // namespace zks::tunnel
