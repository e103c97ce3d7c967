// SPDX-License-Identifier: MIT
#include "session/pacer.hpp"

#include <algorithm>

namespace zks::session {

Pacer::Duration Pacer::time_for(double bytes, double rate) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(bytes / rate));
}

void Pacer::on_sent(std::uint64_t bytes, double pacing_rate, TimePoint now) {
  const Duration takes = std::min(time_for(static_cast<double>(bytes), pacing_rate), kLongestPause);
  next_send_time_ = std::max(next_send_time_, now - kBurst) + takes;
}

}  // namespace zks::session
