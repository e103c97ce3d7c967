// SPDX-License-Identifier: MIT
#include "virtual_time.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <stdexcept>

#include <malloc.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace zks::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// Of the loop, at one time.
constexpr std::size_t kMostTurns = 100'000;

struct Clock {
  steady_clock::time_point now = steady_clock::time_point() + std::chrono::hours(24);
  // The loop's timer, which Asio sets for the first of its own, and for when it is set. In place of the
  // kernel's timer it is an eventfd, which is readable when that would be: a timer costs many times as much.
  int timer = -1;
  std::optional<steady_clock::time_point> due;
  bool fired = false;
} clock;

// Makes Asio look at its timers when it polls next.
void fire() {
  clock.due.reset();
  clock.fired = true;
  (void)::eventfd_write(clock.timer, 1);
}

int set(int fd, bool at_once, const timespec& wait) {
  clock.timer = fd;
  const nanoseconds left = std::chrono::seconds(wait.tv_sec) + nanoseconds(wait.tv_nsec);
  clock.due = at_once ? clock.now : clock.now + left;
  eventfd_t ignored = 0;
  if (clock.fired) (void)::eventfd_read(fd, &ignored);
  clock.fired = false;
  return 0;
}

void run_ready(boost::asio::io_context& loop) {
  do {
    loop.restart();
  } while (loop.poll() > 0);
}

}  // namespace

bool VirtualTime::run(boost::asio::io_context& loop, const std::function<bool()>& done, milliseconds limit) {
  const auto end = clock.now + limit;
  for (std::size_t turns = 0;; ++turns) {
    run_ready(loop);
    if (done()) return true;
    if (turns > kMostTurns) throw std::runtime_error("something is busy, and time does not go on");
    if (clock.due && *clock.due <= clock.now) {
      fire();
      continue;
    }
    if (clock.now >= end) return false;
    clock.now = clock.due ? std::min(*clock.due, end) : end;
    turns = 0;
  }
}

void VirtualTime::run_for(boost::asio::io_context& loop, milliseconds duration) {
  (void)run(
      loop, [] { return false; }, duration);
}

bool VirtualTime::run_out(boost::asio::io_context& loop, milliseconds limit) {
  return run(
      loop, [&loop] { return loop.stopped(); }, limit);
}

}  // namespace zks::sim

// A program's own definitions come before those of the libraries that it is linked with.
std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept {
  return zks::sim::clock.now;
}

// A relay and an exit ask for it after each trouble; it takes real time.
extern "C" int malloc_trim(std::size_t /*pad*/) noexcept {
  return 0;
}

extern "C" int timerfd_create(int /*clock*/, int /*flags*/) noexcept {
  return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

extern "C" int timerfd_settime(int fd, int flags, const itimerspec* when, itimerspec* /*old*/) noexcept {
  return zks::sim::set(fd, (flags & TFD_TIMER_ABSTIME) != 0, when->it_value);
}
