// SPDX-License-Identifier: MIT
#include "tunnel/session_waiters.hpp"

namespace zks::tunnel {

asio::awaitable<std::optional<session::ResetCode>> SessionWaiters::wait(std::function<bool()> ready,
                                                                        asio::steady_timer& patience) {
  while (!ready()) {
    if (closed_) co_return session::ResetCode::kSessionLost;
    if (patience.expiry() <= std::chrono::steady_clock::now()) co_return session::ResetCode::kTimedOut;
    WaitList::Entry waiter(list_, patience);
    on_wait_();
    const bool goes_on = co_await waiter.wait();
    if (!goes_on) co_return session::ResetCode::kCancelled;
  }
  co_return std::nullopt;
}

void SessionWaiters::close() {
  closed_ = true;
  wake();
}

}  // namespace zks::tunnel
