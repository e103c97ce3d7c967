// SPDX-License-Identifier: MIT
//
// How often one source may join: a token bucket for each, in a table of bounded size. When it is full, the
// source that asked longest ago is forgotten: its bucket is the one that is likeliest full again, and no two
// sources ever share one. Asked by admission.cpp before the upgrade.
#pragma once

#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/token_bucket.hpp"
#include "relay/source.hpp"

namespace zks::relay {

// Thread-safe.
class JoinLimiter {
 public:
  static constexpr std::size_t kMaxSources = 65'536;
  // Everything behind one address comes back at once after a change of network or a restart of this relay,
  // which then knows nothing of it, and clients ask again until their exits have registered. So much is
  // allowed in a burst; it is what a source may have in these seconds anyway.
  static constexpr double kBurstSeconds = 20;

  // `rate`: joins a second of one source; 0 means no limit.
  explicit JoinLimiter(double rate);

  bool admit(const Source& source, TokenBucket::TimePoint now);
  std::size_t sources() const;

 private:
  using Buckets = std::list<std::pair<Source, TokenBucket>>;  // who asked last is in front

  TokenBucket& bucket_of(const Source& source, TokenBucket::TimePoint now);

  const double rate_;
  const double burst_;
  mutable std::mutex mutex_;
  Buckets buckets_;
  std::unordered_map<Source, Buckets::iterator, Source::Hash> places_;
};

}  // namespace zks::relay
