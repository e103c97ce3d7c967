// SPDX-License-Identifier: MIT
#include "exit/rate_gate.hpp"

#include <algorithm>

namespace zks::exit {
namespace {

constexpr std::uint64_t kSmallestPiece = 1024;
constexpr std::uint64_t kLargestPiece = 64 * 1024;
constexpr std::uint64_t kPiecesPerSecond = 16;
// A bucket that was not used for this long is full: what an idle invite may move at once.
constexpr double kBurstSeconds = 0.25;

}  // namespace

RateGate::~RateGate() {
  for (Waiter* waiter : line_) waiter->step_out();
}

void RateGate::set_rate(std::uint64_t bytes_per_second, TimePoint now) {
  if (bytes_per_second == rate_) return;
  rate_ = bytes_per_second;
  piece_ = std::clamp(rate_ / kPiecesPerSecond, kSmallestPiece, kLargestPiece);
  if (rate_ == 0) {
    bucket_.reset();
  } else {
    const auto rate = static_cast<double>(rate_);
    bucket_.emplace(rate, std::max(rate * kBurstSeconds, static_cast<double>(piece_)), now);
  }
  first_is_woken_ = false;
  due_changed_();
}

void RateGate::set_closed(bool closed, TimePoint) {
  if (closed_ == closed) return;
  closed_ = closed;
  first_is_woken_ = false;
  due_changed_();
}

bool RateGate::paid(TimePoint now) {
  return !closed_ && (!bucket_ || bucket_->take(0, now) == TokenBucket::Duration::zero());
}

std::uint64_t RateGate::ask(Waiter& waiter, TimePoint now) {
  const bool first = waiter.waits() ? line_.front() == &waiter : line_.empty();
  if (first && paid(now)) return bucket_ ? piece_ : kLargestPiece;
  if (!waiter.waits()) {
    waiter.stand(*this, line_.insert(line_.end(), &waiter));
  }
  if (line_.front() == &waiter) {
    first_is_woken_ = false;  // it came too early
    due_changed_();
  }
  return 0;
}

void RateGate::passed(Waiter& waiter, std::uint64_t bytes, TimePoint now) {
  if (bucket_) bucket_->take(static_cast<double>(bytes), now);
  if (waiter.waits()) remove(waiter);
}

bool RateGate::try_pass(std::uint64_t bytes, TimePoint now) {
  if (!paid(now)) return false;
  if (bucket_) bucket_->take(static_cast<double>(bytes), now);
  if (!line_.empty() && !first_is_woken_) due_changed_();
  return true;
}

TokenBucket::Duration RateGate::charge(std::uint64_t bytes, TimePoint now) {
  if (!bucket_) return TokenBucket::Duration::zero();
  const auto pause = bucket_->take(static_cast<double>(bytes), now);
  if (!line_.empty() && !first_is_woken_) due_changed_();
  return pause;
}

void RateGate::give_back(std::uint64_t bytes) {
  if (bucket_) bucket_->give_back(static_cast<double>(bytes));
  if (!line_.empty() && !first_is_woken_) due_changed_();
}

RateGate::TimePoint RateGate::due(TimePoint now) {
  if (line_.empty() || first_is_woken_ || closed_) return TimePoint::max();
  return bucket_ ? now + bucket_->take(0, now) : now;
}

void RateGate::wake() {
  if (line_.empty() || first_is_woken_) return;
  first_is_woken_ = true;
  line_.front()->wake();
}

void RateGate::leave(Waiter& waiter) {
  remove(waiter);
}

void RateGate::remove(Waiter& waiter) {
  const bool first = line_.front() == &waiter;
  line_.erase(waiter.step_out());
  if (!first) return;
  first_is_woken_ = false;
  if (!line_.empty()) due_changed_();
}

}  // namespace zks::exit
