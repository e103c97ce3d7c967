// SPDX-License-Identifier: MIT
#include "relay/join_limiter.hpp"

#include <algorithm>
#include <iterator>

namespace zks::relay {

JoinLimiter::JoinLimiter(double rate, TokenBucket::TimePoint now)
    : rate_(rate),
      burst_(std::max(1.0, rate * kBurstSeconds)),
      overflow_(std::max(rate, 1.0), burst_, now),
      swept_(now) {}

bool JoinLimiter::admit(const Source& source, TokenBucket::TimePoint now) {
  if (rate_ <= 0) return true;
  const std::lock_guard lock(mutex_);
  return bucket_of(source, now).try_take(1, now);
}

TokenBucket& JoinLimiter::bucket_of(const Source& source, TokenBucket::TimePoint now) {
  const auto found = buckets_.find(source);
  if (found != buckets_.end()) return found->second;
  if (buckets_.size() >= kMaxSources) sweep(now);
  if (buckets_.size() >= kMaxSources) return overflow_;
  return buckets_.emplace(source, TokenBucket(rate_, burst_, now)).first->second;
}

// At most once a second: whoever fills the table must not make every join walk through it.
void JoinLimiter::sweep(TokenBucket::TimePoint now) {
  if (now - swept_ < std::chrono::seconds(1)) return;
  swept_ = now;
  for (auto entry = buckets_.begin(); entry != buckets_.end();) {
    entry = entry->second.full(now) ? buckets_.erase(entry) : std::next(entry);
  }
}

std::size_t JoinLimiter::sources() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

}  // namespace zks::relay
