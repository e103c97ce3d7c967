// SPDX-License-Identifier: MIT
//
// Full jitter: a random pause between 0.2 s and a ceiling that doubles with each failure, so that many peers
// that lost the same relay do not come back at the same moment.
//
// Backoff counts the failures. A success that ends at once is no success: what began and broke within a
// second, again and again, is tried as seldom as what never began. And no pause is longer than the trouble
// has lasted: by chance many short pauses follow each other, and a relay that was away for 2 s would be
// answered with 12 s more. Executor: its owner's.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

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

class Backoff {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kLived{1};

  void failed(TimePoint now) {
    began_.reset();
    if (failures_ == 0) since_ = now;
    failures_ = std::min(failures_ + 1, kMost);
  }
  void began(TimePoint now) { began_ = now; }
  // What had begun is over.
  void ended(TimePoint now) {
    if (!began_ || now - *began_ < kLived) return failed(now);
    reset();
  }
  // Something changed, so that what failed may work now.
  void reset() {
    began_.reset();
    failures_ = 0;
  }

  int failures() const { return failures_; }
  std::chrono::milliseconds pause(TimePoint now, std::chrono::milliseconds longest) const {
    if (failures_ == 0) return jittered_pause(0, longest);
    const auto lasted = std::chrono::duration_cast<std::chrono::milliseconds>(now - since_);
    return jittered_pause(failures_, std::min(longest, std::max(lasted, kFirst)));
  }

 private:
  static constexpr int kMost = 16;
  static constexpr std::chrono::milliseconds kFirst{400};

  int failures_ = 0;
  TimePoint since_;  // the first of the failures
  std::optional<TimePoint> began_;
};

}  // namespace zks::tunnel
