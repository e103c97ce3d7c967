// SPDX-License-Identifier: MIT
//
// Gives memory that streams and sessions held back to the system: the allocator keeps what was freed for the
// rest of the process's life otherwise. A while after something ended, and again while more does, since what
// ends may still hold something at that moment.
//
// Executor: one, given at construction. Lifetime: its owner's.
#pragma once

#include <chrono>
#include <memory>

#include <boost/asio/steady_timer.hpp>
#include <malloc.h>

namespace zks::tunnel {

class HeapTrim {
 public:
  static constexpr std::chrono::seconds kAfter{5};

  explicit HeapTrim(const boost::asio::any_io_executor& executor)
      : waiting_(std::make_shared<Waiting>(executor)) {}
  ~HeapTrim() { cancel(); }
  HeapTrim(const HeapTrim&) = delete;
  HeapTrim& operator=(const HeapTrim&) = delete;

  void cancel() { waiting_->timer.cancel(); }
  // Something that may have held much is over.
  void later() {
    if (waiting_->armed) {
      waiting_->again = true;
    } else {
      arm(waiting_);
    }
  }

 private:
  struct Waiting {
    explicit Waiting(const boost::asio::any_io_executor& executor) : timer(executor) {}
    boost::asio::steady_timer timer;
    bool armed = false;
    bool again = false;
  };

  static void arm(const std::shared_ptr<Waiting>& waiting) {
    waiting->armed = true;
    waiting->again = false;
    waiting->timer.expires_after(kAfter);
    waiting->timer.async_wait([weak = std::weak_ptr(waiting)](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (!self) return;
      self->armed = false;
      if (ec) return;
      ::malloc_trim(0);
      if (self->again) arm(self);
    });
  }

  std::shared_ptr<Waiting> waiting_;
};

}  // namespace zks::tunnel
