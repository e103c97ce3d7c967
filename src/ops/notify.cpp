// SPDX-License-Identifier: MIT
#include "ops/notify.hpp"

#include <chrono>
#include <cstdint>

#include <boost/asio/steady_timer.hpp>
#include <systemd/sd-daemon.h>

namespace zks::ops {

void notify_ready(const std::string& status) {
  ::sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
}

void notify_status(const std::string& status) {
  ::sd_notify(0, ("STATUS=" + status).c_str());
}

void notify_stopping() {
  ::sd_notify(0, "STOPPING=1");
}

struct Watchdog::State {
  State(boost::asio::any_io_executor executor, std::chrono::microseconds every)
      : timer(executor), interval(every) {}

  static void beat(const std::shared_ptr<State>& state) {
    ::sd_notify(0, "WATCHDOG=1");
    state->timer.expires_after(state->interval);
    state->timer.async_wait([weak = std::weak_ptr(state)](boost::system::error_code ec) {
      const auto alive = weak.lock();
      if (!ec && alive) beat(alive);
    });
  }

  boost::asio::steady_timer timer;
  std::chrono::microseconds interval;
};

Watchdog::Watchdog(boost::asio::any_io_executor executor) {
  std::uint64_t limit_us = 0;
  if (::sd_watchdog_enabled(0, &limit_us) <= 0) return;
  state_ = std::make_shared<State>(std::move(executor), std::chrono::microseconds(limit_us / 2));
  State::beat(state_);
}

Watchdog::~Watchdog() = default;

}  // namespace zks::ops
