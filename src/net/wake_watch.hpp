// SPDX-License-Identifier: MIT
//
// Tells when the machine wakes from sleep, without waking it up to look: lanes may have died meanwhile, and
// nothing on the network says so. Beside net/interfaces.hpp, which tells of addresses and routes.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/result.hpp"

namespace zks::net {

// Calls `on_wake` after every sleep, and whenever somebody sets the wall clock, which the kernel tells alike
// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
//
// Executor: one, given at construction; calls are made there. Lifetime: the caller's; nothing is called after
// destruction.
class WakeWatch {
 public:
  // kIo when the kernel gives no timer.
  static Result<std::unique_ptr<WakeWatch>> start(boost::asio::any_io_executor executor,
                                                  std::function<void()> on_wake);
  ~WakeWatch();
  WakeWatch(const WakeWatch&) = delete;
  WakeWatch& operator=(const WakeWatch&) = delete;

 private:
  WakeWatch(boost::asio::any_io_executor executor, int timer, std::function<void()> on_wake);
  bool arm();
  void wait();
  void look();

  boost::asio::posix::stream_descriptor timer_;
  std::function<void()> on_wake_;
  std::shared_ptr<WakeWatch*> alive_;  // for handlers that come late
};

}  // namespace zks::net
