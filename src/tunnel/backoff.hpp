// SPDX-License-Identifier: MIT
//
// Full jitter: a random pause between 0.2 s and a ceiling that doubles with each failure, so that many peers
// that lost the same relay do not come back at the same moment.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/bytes.hpp"

namespace zks::tunnel {

inline std::chrono::milliseconds jittered_pause(int failures, std::chrono::milliseconds longest) {
  using std::chrono::milliseconds;
  constexpr milliseconds kShortest{200};
  const milliseconds ceiling =
      std::clamp(kShortest * (1 << std::clamp(failures, 1, 16)), kShortest, std::max(longest, kShortest));
  const auto bytes = random_array<8>();
  const auto span = static_cast<std::uint64_t>((ceiling - kShortest).count()) + 1;
  return kShortest + milliseconds(static_cast<std::int64_t>(load_be<std::uint64_t>(bytes.data()) % span));
}

}  // namespace zks::tunnel
