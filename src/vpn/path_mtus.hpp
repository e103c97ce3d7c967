// SPDX-License-Identifier: MIT
//
// How large packets to one address of a network behind this machine may be (RFC 1191, RFC 8201): what
// routers there said of those that were built here. TCP's are the kernel's to know (private_namespace.hpp).
//
// Memory: kMaxPathMtus addresses; the one that was noted first makes room. A path may have grown: after
// kPathMtuKept it is tried again.
//
// Executor: the owner's. Lifetime: the owner's. The time is the caller's.
#pragma once

#include <chrono>
#include <unordered_map>

#include "vpn/addresses.hpp"

namespace zks::vpn {

inline constexpr std::size_t kMaxPathMtus = 256;
inline constexpr auto kPathMtuKept = std::chrono::minutes(10);  // RFC 1191, section 6.3

class PathMtus {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit PathMtus(std::size_t device) : device_(device) {}

  std::size_t to(const IpAddress& address, TimePoint now) const {
    const auto at = known_.find({address, 0});
    return at == known_.end() || at->second.until <= now ? device_ : at->second.mtu;
  }
  void note(const IpAddress& address, std::size_t mtu, TimePoint now);

 private:
  struct Path {
    std::size_t mtu = 0;
    TimePoint until{};
  };

  std::size_t device_;
  std::unordered_map<packet::Endpoint, Path, HashEndpoint> known_;  // port 0
};

}  // namespace zks::vpn
