// SPDX-License-Identifier: MIT
//
// When a limit is worth a line in the log: once when it is reached, and again only after use had gone down to
// half of it. Whoever asks is told no other way, so a limit that nobody hears of looks like a broken network.
#pragma once

#include <cstddef>
#include <utility>

namespace zks {

class LimitNotice {
 public:
  // For each newcomer, with how many are there before it: whether to tell.
  bool is_due(std::size_t used, std::size_t limit) {
    if (used >= limit) return !std::exchange(told_, true);
    if (used <= limit / 2) told_ = false;
    return false;
  }

 private:
  bool told_ = false;
};

}  // namespace zks
