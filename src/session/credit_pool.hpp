// SPDX-License-Identifier: MIT
//
// The memory that a session has promised to its streams as credit. Each stream has kMinWindow of its own, set
// aside for max_streams of them; the rest is shared. A grant from the shared part is at most a fraction of
// what is left of it, so readers that stop while they hold large windows can never take it all from those who
// read on.
#pragma once

#include <algorithm>
#include <cstdint>

namespace zks::session {

inline constexpr std::uint64_t kMinWindow = 16 * 1024;
inline constexpr std::uint64_t kFirstWindow = 256 * 1024;

class CreditPool {
 public:
  // `total_bytes` covers everything, the minimums of `max_streams` included.
  CreditPool(std::uint64_t total_bytes, std::uint64_t max_streams)
      : spare_(total_bytes - std::min(total_bytes, max_streams * kMinWindow)) {}

  // The window of a new stream: kFirstWindow while that is at most 1/32 of what is spare, less after,
  // kMinWindow at the end.
  std::uint64_t grant_first() {
    const std::uint64_t window = std::clamp(spare_ / 32, kMinWindow, kFirstWindow);
    const std::uint64_t shared = std::min(window - kMinWindow, spare_);
    spare_ -= shared;
    return kMinWindow + shared;
  }

  // Whether `more` bytes could be added to a window: at most 1/4 of what is spare.
  bool grow(std::uint64_t more) {
    if (more > spare_ / 4) return false;
    spare_ -= more;
    return true;
  }

  void release(std::uint64_t window) { spare_ += window - kMinWindow; }

  std::uint64_t spare() const { return spare_; }

 private:
  std::uint64_t spare_;
};

}  // namespace zks::session
