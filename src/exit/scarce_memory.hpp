// SPDX-License-Identifier: MIT
//
// What the exit does when memory lacked: at once, what gives way is its owner's to say; then the operator is
// told, in the log and by `status`, until none has lacked for kOverAfter.
//
// Executor: one, given at construction. Lifetime: its owner's.
#pragma once

#include <chrono>
#include <functional>

#include "exit/fault.hpp"
#include "net/memory_watch.hpp"

namespace zks::exit {

class ScarceMemory {
 public:
  static constexpr std::chrono::seconds kOverAfter{10};

  ScarceMemory(const boost::asio::any_io_executor& executor, std::function<void()> relieve)
      : relieve_(std::move(relieve)), watch_(executor, [this] {
          lacked_ = std::chrono::steady_clock::now();
          relieve_();
        }) {}

  // Now and then.
  void look(Fault::TimePoint now) {
    if (!lacked_) return;
    if (now - *lacked_ < kOverAfter) {
      fault_.note(make_error(ErrorKind::kLimit,
                             "this exit has no memory left: give it more, or lower --max-sessions and "
                             "--max-streams"),
                  now);
      return;
    }
    lacked_.reset();
    fault_.note({}, now);
  }
  const Fault& fault() const { return fault_; }

 private:
  std::function<void()> relieve_;
  std::optional<Fault::TimePoint> lacked_;
  Fault fault_{"sessions that hold most of it end", "there is memory again"};
  net::MemoryWatch watch_;
};

}  // namespace zks::exit
