// SPDX-License-Identifier: MIT
//
// When the next bulk of a lane may go out, so that it leaves at the pacing rate of lane_window.hpp
// (draft-ietf-ccwg-bbr): a window sent at once would overflow the next queue. Sans-IO.
#pragma once

#include <chrono>
#include <cstdint>

namespace zks::session {

class Pacer {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  static constexpr Duration kBurst = std::chrono::milliseconds(2);  // at once, after a timer that was late
  static constexpr Duration kLongestPause = std::chrono::milliseconds(100);  // whatever the rate seems to be

  // Bulk of so many bytes goes out now, at a rate in bytes a second.
  void on_sent(std::uint64_t bytes, double pacing_rate, TimePoint now);
  TimePoint next_send_time() const { return next_send_time_; }

  // How long so much takes at that rate.
  static Duration time_for(double bytes, double rate);

 private:
  TimePoint next_send_time_{};
};

}  // namespace zks::session
