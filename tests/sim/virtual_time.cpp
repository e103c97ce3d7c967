// SPDX-License-Identifier: MIT
#include "virtual_time.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>

#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace zks::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

struct Clock {
  steady_clock::time_point now = steady_clock::time_point() + std::chrono::hours(24);
  // The loop's timer in the kernel, which Asio sets for the first of its own; and for when it is set.
  int timer = -1;
  std::optional<steady_clock::time_point> due;
  bool fired = false;
} clock;

void set_kernel_timer(int fd, const itimerspec& when) {
  (void)::syscall(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &when, nullptr);
}

// Makes Asio look at its timers when it polls next.
void fire() {
  clock.due.reset();
  clock.fired = true;
  set_kernel_timer(clock.timer, {{}, {0, 1}});
}

int set(int fd, bool at_once, const timespec& wait) {
  clock.timer = fd;
  const nanoseconds left = std::chrono::seconds(wait.tv_sec) + nanoseconds(wait.tv_nsec);
  clock.due = at_once ? clock.now : clock.now + left;
  if (clock.fired) set_kernel_timer(fd, {});
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
  for (;;) {
    run_ready(loop);
    if (done()) return true;
    if (clock.due && *clock.due <= clock.now) {
      fire();
      continue;
    }
    if (clock.now >= end) return false;
    clock.now = clock.due ? std::min(*clock.due, end) : end;
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

extern "C" int timerfd_settime(int fd, int flags, const itimerspec* when, itimerspec* /*old*/) noexcept {
  return zks::sim::set(fd, (flags & TFD_TIMER_ABSTIME) != 0, when->it_value);
}
