// SPDX-License-Identifier: MIT
//
// Delivery-rate samples of a lane (draft-ietf-ccwg-bbr), over LANE_ACKs instead of TCP's
// acknowledgements, and where a round trip ends. The names are the draft's: `delivered`, `delivered_time` and
// `first_send_time`, of the lane now and of a mark as they were when that was sent. lane_window.hpp asks it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace zks::session {

struct RateSample {
  std::chrono::nanoseconds rtt{};
  // Bytes a second, measured so that acknowledgements that come in a heap do not count for more than was
  // sent.
  double delivery_rate = 0;
  std::chrono::nanoseconds silence{};  // in which nothing was acknowledged, up to this one
  bool ends_round = false;             // all that was under way when the last round trip ended has arrived
};

class RateSampler {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  static constexpr std::size_t kMaxMarks = 2048;  // further ones are left out

  // Nothing that was told of is under way.
  bool idle() const { return marks_.empty(); }
  TimePoint delivered_time() const { return delivered_time_; }

  // The lane has sent `sent` bytes so far, and the peer has acknowledged the first `acknowledged` of them.
  void on_sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now);
  // Null for less than what is measured.
  std::optional<RateSample> on_acknowledged(std::uint64_t position, TimePoint now);

 private:
  struct Mark {
    std::uint64_t position;
    TimePoint send_time;
    std::uint64_t delivered;
    TimePoint delivered_time, first_send_time;
  };

  RateSample sample_of(const Mark& mark, TimePoint now) const;

  std::deque<Mark> marks_;  // at most kMaxMarks
  std::uint64_t delivered_ = 0;
  TimePoint delivered_time_{};
  TimePoint first_send_time_{};  // when what was delivered last was sent
  std::uint64_t next_round_delivered_ = 0;
};

}  // namespace zks::session
