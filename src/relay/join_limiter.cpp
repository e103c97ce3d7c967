// SPDX-License-Identifier: MIT
#include "relay/join_limiter.hpp"

#include <algorithm>

namespace zks::relay {

JoinLimiter::JoinLimiter(double rate) : rate_(rate), burst_(std::max(1.0, rate * kBurstSeconds)) {}

bool JoinLimiter::admit(const Source& source, TokenBucket::TimePoint now) {
  if (rate_ <= 0) return true;
  const std::lock_guard lock(mutex_);
  return bucket_of(source, now).try_take(1, now);
}

TokenBucket& JoinLimiter::bucket_of(const Source& source, TokenBucket::TimePoint now) {
  const auto found = places_.find(source);
  if (found != places_.end()) {
    buckets_.splice(buckets_.begin(), buckets_, found->second);
    return buckets_.front().second;
  }
  if (buckets_.size() >= kMaxSources) {
    places_.erase(buckets_.back().first);
    buckets_.pop_back();
  }
  buckets_.emplace_front(source, TokenBucket(rate_, burst_, now));
  places_.emplace(source, buckets_.begin());
  return buckets_.front().second;
}

std::size_t JoinLimiter::sources() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

}  // namespace zks::relay
