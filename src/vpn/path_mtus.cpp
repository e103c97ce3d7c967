// SPDX-License-Identifier: MIT
#include "vpn/path_mtus.hpp"

#include <algorithm>

namespace zks::vpn {

void PathMtus::note(const IpAddress& address, std::size_t mtu, TimePoint now) {
  const std::size_t least = address.is_ipv4() ? packet::kMinMtuV4 : packet::kMinMtuV6;
  const Path path{std::clamp(mtu, least, std::max(least, device_)), now + kPathMtuKept};
  const packet::Endpoint key{address, 0};
  if (known_.size() >= kMaxPathMtus && !known_.contains(key)) {
    const auto sooner = [](const auto& a, const auto& b) { return a.second.until < b.second.until; };
    known_.erase(std::min_element(known_.begin(), known_.end(), sooner));
  }
  known_[key] = path;
}

}  // namespace zks::vpn
