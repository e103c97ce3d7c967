// SPDX-License-Identifier: MIT
//
// How often one source may join: a token bucket for each, in a table of bounded size. Asked by admission.cpp
// before the upgrade.
#pragma once

#include <mutex>
#include <unordered_map>

#include "base/token_bucket.hpp"
#include "relay/source.hpp"

namespace zks::relay {

// Thread-safe.
class JoinLimiter {
 public:
  static constexpr std::size_t kMaxSources = 65'536;
  // Everything behind one address reconnects at once after a network change: that much is allowed in a burst.
  static constexpr double kBurstSeconds = 5;

  // `rate`: joins a second of one source; 0 means no limit.
  JoinLimiter(double rate, TokenBucket::TimePoint now);

  bool admit(const Source& source, TokenBucket::TimePoint now);
  std::size_t sources() const;

 private:
  TokenBucket& bucket_of(const Source& source, TokenBucket::TimePoint now);
  void sweep(TokenBucket::TimePoint now);

  const double rate_;
  const double burst_;
  mutable std::mutex mutex_;
  std::unordered_map<Source, TokenBucket, Source::Hash> buckets_;
  TokenBucket overflow_;  // shared by all sources that the full table has no place for
  TokenBucket::TimePoint swept_;
};

}  // namespace zks::relay
