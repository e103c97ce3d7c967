// SPDX-License-Identifier: MIT
//
// When something that happens again and again is worth a line in the log: at once, and again only after a
// pause.
#pragma once

#include <chrono>
#include <optional>

namespace zks {

class RepeatNotice {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit RepeatNotice(std::chrono::seconds pause) : pause_(pause) {}

  // Each time that it happens: whether to tell.
  bool is_due(TimePoint now) {
    if (told_ && now - *told_ < pause_) return false;
    told_ = now;
    return true;
  }
  // It is another thing from now on.
  void reset() { told_.reset(); }

 private:
  std::chrono::seconds pause_;
  std::optional<TimePoint> told_;
};

}  // namespace zks
