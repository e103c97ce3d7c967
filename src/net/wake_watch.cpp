// SPDX-License-Identifier: MIT
#include "net/wake_watch.hpp"

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <limits>
#include <system_error>

#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.hpp"

namespace zks::net {

Result<std::unique_ptr<WakeWatch>> WakeWatch::start(boost::asio::any_io_executor executor,
                                                    std::function<void()> on_wake) {
  const int timer = ::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer < 0) {
    return make_error(ErrorKind::kIo, "a timer could not be made: " + std::generic_category().message(errno));
  }
  std::unique_ptr<WakeWatch> watch(new WakeWatch(std::move(executor), timer, std::move(on_wake)));
  if (!watch->arm()) {
    return make_error(ErrorKind::kIo, "a timer could not be set: " + std::generic_category().message(errno));
  }
  watch->wait();
  return watch;
}

WakeWatch::WakeWatch(boost::asio::any_io_executor executor, int timer, std::function<void()> on_wake)
    : timer_(std::move(executor), timer),
      on_wake_(std::move(on_wake)),
      alive_(std::make_shared<WakeWatch*>(this)) {}

WakeWatch::~WakeWatch() {
  *alive_ = nullptr;
}

// At a time that never comes, which the last second of 32 bits (2038-01-19) is not: what matters is that the
// kernel cancels it.
bool WakeWatch::arm() {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<std::time_t>::max();
  return ::timerfd_settime(timer_.native_handle(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
                           nullptr) == 0;
}

void WakeWatch::wait() {
  timer_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [alive = alive_](const boost::system::error_code& ec) {
                      if (!ec && *alive != nullptr) (*alive)->look();
                    });
}

void WakeWatch::look() {
  std::uint64_t expirations = 0;
  const bool expired = ::read(timer_.native_handle(), &expirations, sizeof expirations) > 0;
  const bool cancelled = !expired && errno == ECANCELED;
  // One that comes all the same would come again at once, for ever.
  if (expired || !arm()) return log::warn("whether the machine slept is not noticed any more");
  wait();
  if (cancelled) on_wake_();
}

}  // namespace zks::net
