// SPDX-License-Identifier: MIT
#include "relay/join_limiter.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <string_view>

namespace zks::relay {

std::size_t JoinLimiter::Hash::operator()(const Source& source) const {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(source.data()), source.size()});
}

JoinLimiter::JoinLimiter(double rate, TokenBucket::TimePoint now)
    : rate_(rate),
      burst_(std::max(1.0, rate * kBurstSeconds)),
      overflow_(std::max(rate, 1.0), burst_, now),
      swept_(now) {}

JoinLimiter::Source JoinLimiter::source_of(const boost::asio::ip::address& address) {
  namespace ip = boost::asio::ip;
  Source out{};
  if (address.is_v4()) {
    const auto bytes = ip::make_address_v6(ip::v4_mapped, address.to_v4()).to_bytes();
    std::copy(bytes.begin(), bytes.end(), out.begin());
  } else {
    const ip::address_v6 v6 = address.to_v6();
    const auto bytes = v6.to_bytes();
    std::copy_n(bytes.begin(), v6.is_v4_mapped() ? 16 : 8, out.begin());
  }
  return out;
}

bool JoinLimiter::admit(const boost::asio::ip::address& source, TokenBucket::TimePoint now) {
  if (rate_ <= 0) return true;
  const std::lock_guard lock(mutex_);
  return bucket_of(source_of(source), now).try_take(1, now);
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
