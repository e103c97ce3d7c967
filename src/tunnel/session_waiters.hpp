// SPDX-License-Identifier: MIT
//
// Opens that wait for a session, or for another lane of it. Whoever asked may be gone before there is one:
// its coroutine is then cancelled, or destroyed, at its wait, and nothing of it is left here.
//
// Executor: one, that of the timers. Lifetime: the client's, which whoever waits holds.
#pragma once

#include <functional>
#include <optional>

#include "session/frames.hpp"
#include "tunnel/wait_list.hpp"

namespace zks::tunnel {

class SessionWaiters {
 public:
  // `on_wait`: somebody begins to wait now.
  explicit SessionWaiters(std::function<void()> on_wait) : on_wait_(std::move(on_wait)) {}
  SessionWaiters(const SessionWaiters&) = delete;
  SessionWaiters& operator=(const SessionWaiters&) = delete;

  // Until `ready`, which is looked at after each wake(), or until `patience` is over. None: it is ready; else
  // why the stream can't be opened any more.
  asio::awaitable<std::optional<session::ResetCode>> wait(std::function<bool()> ready,
                                                          asio::steady_timer& patience);
  // A session or a lane came up.
  void wake() { list_.wake(); }
  // None will: whoever waits, or comes later, hears kSessionLost.
  void close();
  bool empty() const { return list_.empty(); }

 private:
  std::function<void()> on_wait_;
  WaitList list_;
  bool closed_ = false;
};

}  // namespace zks::tunnel
