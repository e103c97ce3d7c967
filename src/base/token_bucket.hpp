// SPDX-License-Identifier: MIT
//
// A token bucket with an injected clock: at the relay joins a second of a source address and bytes a second
// of a pair (relay/join_limiter.hpp, relay/half.hpp), at the exit what an invite may use
// (exit/allowance.hpp).
#pragma once

#include <algorithm>
#include <chrono>

namespace zks {

class TokenBucket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // `rate` tokens a second, above 0; at most `burst` are kept. Starts full.
  TokenBucket(double rate, double burst, TimePoint now)
      : rate_(rate), burst_(burst), tokens_(burst), filled_(now) {}

  // Takes `count` tokens, or none and says no.
  bool try_take(double count, TimePoint now) {
    refill(now);
    if (tokens_ < count) return false;
    tokens_ -= count;
    return true;
  }

  // Takes `count` tokens at once, on credit if need be; returns how long the taker has to pause for that.
  Duration take(double count, TimePoint now) {
    refill(now);
    tokens_ -= count;
    if (tokens_ >= 0) return Duration::zero();
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(-tokens_ / rate_));
  }

  // Puts back what was taken and not used after all.
  void give_back(double count) { tokens_ = std::min(burst_, tokens_ + count); }

  // A full bucket is as good as a new one: it need not be remembered.
  bool full(TimePoint now) {
    refill(now);
    return tokens_ >= burst_;
  }

 private:
  void refill(TimePoint now) {
    if (now <= filled_) return;
    tokens_ = std::min(burst_, tokens_ + rate_ * std::chrono::duration<double>(now - filled_).count());
    filled_ = now;
  }

  double rate_;
  double burst_;
  double tokens_;
  TimePoint filled_;
};

}  // namespace zks
