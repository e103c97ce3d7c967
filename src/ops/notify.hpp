// SPDX-License-Identifier: MIT
//
// What systemd is told (sd_notify(3)), where it asked: $NOTIFY_SOCKET and $WATCHDOG_USEC. Without those,
// nothing.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

namespace zks::ops {

void notify_ready(const std::string& status);
void notify_status(const std::string& status);
void notify_stopping();
void notify_alive();

// How often a watchdog that this process was told of wants to hear, with time to spare; none: not at all.
std::optional<std::chrono::microseconds> watchdog_interval();

// Says at each interval that every loop still runs; a process of which one hangs says nothing more, and is
// restarted. Executor: the first one. Lifetime: its own; after destruction nothing more is said, and the
// loops may be over.
class Watchdog {
 public:
  // Tells systemd, where it asked; the timer is `executor`'s, and `others` are looked after as well.
  explicit Watchdog(boost::asio::any_io_executor executor,
                    std::vector<boost::asio::any_io_executor> others = {});
  // Says it by `beat`; no interval: never.
  Watchdog(boost::asio::any_io_executor executor, std::optional<std::chrono::microseconds> interval,
           std::function<void()> beat);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

 private:
  struct State;
  std::shared_ptr<State> state_;  // none without an interval
};

}  // namespace zks::ops
