// SPDX-License-Identifier: MIT
//
// What systemd is told (sd_notify(3)), where it asked: $NOTIFY_SOCKET and $WATCHDOG_USEC. Without those,
// nothing.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace zks::ops {

void notify_ready(const std::string& status);
void notify_status(const std::string& status);
void notify_stopping();

// Tells systemd at half of its interval that the executor still runs; one that hangs is then restarted.
// Executor: the one given. Lifetime: its own; after destruction nothing more is sent.
class Watchdog {
 public:
  explicit Watchdog(boost::asio::any_io_executor executor);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

 private:
  struct State;
  std::shared_ptr<State> state_;  // none when systemd did not ask
};

}  // namespace zks::ops
