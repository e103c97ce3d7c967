// SPDX-License-Identifier: MIT
//
// The memory that a session has promised to its streams as credit. Each stream has kMinWindow of its own, set
// aside for max_streams of them; the rest is shared. A grant from the shared part is at most a fraction of
// what is left of it, and windows above kFirstWindow come out of half of it only: readers that stop while
// they hold large windows never take the credit of those who read on, nor that of streams to come.
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
      : spare_(total_bytes - std::min(total_bytes, max_streams * kMinWindow)), kept_(spare_ / 2) {}

  // The window of a new stream: kFirstWindow while that is at most 1/64 of what is spare, less after,
  // kMinWindow at the end.
  std::uint64_t grant_first() {
    const std::uint64_t window = std::clamp(spare_ / kSmallShare, kMinWindow, kFirstWindow);
    const std::uint64_t shared = std::min(window - kMinWindow, spare_);
    spare_ -= shared;
    return kMinWindow + shared;
  }

  // Whether `window` may become `larger`, and takes the difference then. Up to kFirstWindow that is at most
  // 1/64 of what is spare, as for a new stream; beyond, half of what is spare above the kept half.
  bool grow(std::uint64_t window, std::uint64_t larger) {
    const std::uint64_t large_spare = spare_ - std::min(spare_, kept_);
    const std::uint64_t most = larger <= kFirstWindow ? spare_ / kSmallShare : large_spare / 2;
    if (larger - window > most) return false;
    spare_ -= larger - window;
    return true;
  }

  void release(std::uint64_t window) { spare_ += window - kMinWindow; }

  std::uint64_t spare() const { return spare_; }

 private:
  static constexpr std::uint64_t kSmallShare = 64;

  std::uint64_t spare_;  // shared and not granted
  std::uint64_t kept_;   // of it, for windows of at most kFirstWindow
};

}  // namespace zks::session
