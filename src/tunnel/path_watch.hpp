// SPDX-License-Identifier: MIT
//
// When a lane asks its relay for a sign of life and then looks at what the path lets through
// (carrier/segment_limits.hpp): once for each pause in which no record comes. The relay's `pong` tells its
// path from the one behind it. Sans-IO: the lane's timer calls step().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "carrier/path.hpp"

namespace zks::tunnel {

class PathWatch {
 public:
  static constexpr std::chrono::milliseconds kStep{500};

  enum class Next : std::uint8_t { kRest, kWait, kAsk, kLook };

  // Of the lane's records; each says whether step() is wanted from now on, once each kStep until it says
  // kRest. What is written in a pause that was looked at begins none.
  bool wrote(std::size_t bytes) {
    written_ += bytes;
    return steps_ < kLookAt && begin();
  }
  bool heard() {
    steps_ = 0;
    written_ = 0;
    return begin();
  }
  // A text of the relay, such as `pong`: all is well, until there are records again.
  void heard_relay() {
    steps_ = 0;
    written_ = 0;
    paused_ = false;
  }
  Next step() {
    stepping_ = paused_;
    if (!paused_) return Next::kRest;
    ++steps_;
    if (steps_ == kAskAt) return Next::kAsk;
    paused_ = steps_ < kLookAt;
    return paused_ ? Next::kWait : Next::kLook;
  }
  // What a look goes by. Before kLateAt a relay that is far away may not have answered yet; and it may not
  // read on while the far half does not take what we sent.
  carrier::Silence silence() const {
    if (steps_ < kAskAt) return carrier::Silence::kNone;
    return steps_ < kLateAt || written_ > kMuch ? carrier::Silence::kHeldUp : carrier::Silence::kOwed;
  }

 private:
  static constexpr int kAskAt = 2;
  static constexpr int kLateAt = 4;
  static constexpr int kLookAt = 5;
  static constexpr std::size_t kMuch = 64 * 1024;

  bool begin() {
    paused_ = true;
    return !std::exchange(stepping_, true);
  }

  bool paused_ = false;      // since the last record, and not looked at yet
  bool stepping_ = false;    // step() will be called
  int steps_ = 0;            // since anything came
  std::size_t written_ = 0;  // since then
};

}  // namespace zks::tunnel
