// SPDX-License-Identifier: MIT
//
// Bytes a second for the streams of one invite in one direction: a token bucket, and before it a line in
// which each stream has its turn. Only the first in line is woken, so a thousand streams that wait cost what
// one does. Above it: allowance.hpp, which has the clock and the timer.
//
// A turn moves a bounded piece on credit, and the next one begins when that is paid: what passes in a time t
// is at most rate x t and one burst. Sans-IO but for the wake-ups. Not thread safe: one executor.
#pragma once

#include <functional>
#include <list>
#include <optional>

#include "base/token_bucket.hpp"
#include "tunnel/meter.hpp"

namespace zks::exit {

class RateGate final : private tunnel::Meter::Waiter::Queue {
 public:
  using TimePoint = TokenBucket::TimePoint;
  using Waiter = tunnel::Meter::Waiter;

  // `due_changed`: look at due() again.
  explicit RateGate(std::function<void()> due_changed) : due_changed_(std::move(due_changed)) {}
  RateGate(const RateGate&) = delete;
  RateGate& operator=(const RateGate&) = delete;
  ~RateGate();

  // 0: no limit. Whoever waits is looked at again under the new rate.
  void set_rate(std::uint64_t bytes_per_second, TimePoint now);
  // Closed: nothing passes until it is opened; streams wait in line.
  void set_closed(bool closed, TimePoint now);

  std::uint64_t ask(Waiter& waiter, TimePoint now);
  void passed(Waiter& waiter, std::uint64_t bytes, TimePoint now);
  // For what is dropped rather than made to wait: whether `bytes` pass now; they are paid then. A datagram
  // passes when a stream could, whatever its length.
  bool try_pass(std::uint64_t bytes, TimePoint now);

  // For what is not bytes of a stream: how long who takes `bytes` now has to pause for that.
  TokenBucket::Duration charge(std::uint64_t bytes, TimePoint now);
  // They were not taken after all.
  void give_back(std::uint64_t bytes);

  // When wake() is to be called; max() for never.
  TimePoint due(TimePoint now);
  void wake();
  std::size_t waiting() const { return line_.size(); }

 private:
  void leave(Waiter& waiter) override;
  void remove(Waiter& waiter);
  bool paid(TimePoint now);

  std::function<void()> due_changed_;
  std::optional<TokenBucket> bucket_;  // none: no limit
  std::uint64_t rate_ = 0;
  std::uint64_t piece_ = 0;  // that one turn may move
  bool closed_ = false;
  std::list<Waiter*> line_;
  bool first_is_woken_ = false;
};

}  // namespace zks::exit
