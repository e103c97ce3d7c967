// SPDX-License-Identifier: MIT
//
// Calls its owner when the process lacked memory (base/memory_reserve.hpp), so that something can give way.
//
// Executor: one, given at construction. Lifetime: its owner's, which does not end in the call; the reserve is
// the process's as long as this lives.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <unistd.h>

#include "base/memory_reserve.hpp"

namespace zks::net {

class MemoryWatch {
 public:
  MemoryWatch(const boost::asio::any_io_executor& executor, std::function<void()> on_lack)
      : watch_(std::make_shared<Watch>(executor, std::move(on_lack))) {
    Watch::wait(watch_);
  }
  ~MemoryWatch() {
    watch_->on_lack = nullptr;
    watch_->event.close();
    watch_->over.cancel();
  }
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  // What gave way may not have been enough to fill the reserve at once.
  static constexpr std::chrono::seconds kFillAfter{1};

 private:
  struct Watch {
    Watch(const boost::asio::any_io_executor& executor, std::function<void()> handler)
        : event(executor, ::dup(reserve.event())), over(executor), on_lack(std::move(handler)) {}

    // Waits again before it calls: there is no memory to wait with afterwards, perhaps.
    static void wait(const std::shared_ptr<Watch>& self) {
      self->event.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                             [self](const boost::system::error_code& ec) {
                               if (ec || !self->on_lack) return;
                               self->reserve.heard();
                               wait(self);
                               fill_later(self);
                               self->on_lack();
                               self->reserve.fill();
                             });
    }

    static void fill_later(const std::shared_ptr<Watch>& self) {
      self->over.expires_after(kFillAfter);
      self->over.async_wait([self](const boost::system::error_code& ec) {
        if (!ec && self->on_lack && !self->reserve.fill()) fill_later(self);
      });
    }

    MemoryReserve reserve;
    boost::asio::posix::stream_descriptor event;
    boost::asio::steady_timer over;
    std::function<void()> on_lack;
  };

  std::shared_ptr<Watch> watch_;
};

}  // namespace zks::net
