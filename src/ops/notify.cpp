// SPDX-License-Identifier: MIT
#include "ops/notify.hpp"

#include <atomic>
#include <cstdint>

#include <boost/asio/post.hpp>
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

void notify_alive() {
  ::sd_notify(0, "WATCHDOG=1");
}

// A quarter: a loop that is busy for as long as two of these is not hung yet.
std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t limit_us = 0;
  if (::sd_watchdog_enabled(0, &limit_us) <= 0) return std::nullopt;
  return std::chrono::microseconds(limit_us / 4);
}

struct Watchdog::State {
  State(const boost::asio::any_io_executor& executor, std::vector<boost::asio::any_io_executor> watched,
        std::chrono::microseconds every, std::function<void()> says)
      : timer(executor), others(std::move(watched)), interval(every), beat(std::move(says)) {}

  // The timer's own loop runs, or this would not be called; the others have to have answered the last look.
  static void look(const std::shared_ptr<State>& state) {
    if (state->unanswered == 0) {
      state->beat();
      state->unanswered = state->others.size();
      for (const auto& other : state->others) boost::asio::post(other, [state] { --state->unanswered; });
    }
    state->timer.expires_after(state->interval);
    state->timer.async_wait([weak = std::weak_ptr(state)](boost::system::error_code ec) {
      const auto alive = weak.lock();
      if (!ec && alive) look(alive);
    });
  }

  boost::asio::steady_timer timer;
  std::vector<boost::asio::any_io_executor> others;
  std::chrono::microseconds interval;
  std::function<void()> beat;
  std::atomic<std::size_t> unanswered{0};
};

Watchdog::Watchdog(boost::asio::any_io_executor executor, std::vector<boost::asio::any_io_executor> others) {
  const auto interval = watchdog_interval();
  if (!interval) return;
  state_ = std::make_shared<State>(std::move(executor), std::move(others), *interval, notify_alive);
  State::look(state_);
}

Watchdog::Watchdog(boost::asio::any_io_executor executor, std::optional<std::chrono::microseconds> interval,
                   std::function<void()> beat) {
  if (!interval) return;
  state_ = std::make_shared<State>(std::move(executor), std::vector<boost::asio::any_io_executor>(),
                                   *interval, std::move(beat));
  State::look(state_);
}

Watchdog::~Watchdog() {
  if (state_) state_->timer.cancel();
}

}  // namespace zks::ops
