// SPDX-License-Identifier: MIT
//
// The time by which invites expire: the wall clock, but one that was set is believed only after it has stayed
// so for kStays. A clock that jumps a year for a few seconds ends nobody's session. Sans-IO: InviteStore
// reads both clocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace zks::exit {

class ExpiryClock {
 public:
  // Of a clock that nobody sets and that goes on while the machine sleeps (CLOCK_BOOTTIME), in seconds.
  struct Readings {
    std::int64_t wall = 0;  // since 1970
    std::int64_t steady = 0;
  };
  static Readings read();

  static constexpr std::int64_t kStays = 60;
  static constexpr std::int64_t kSlack = 2;  // a clock that is slewed, and both being read in turn

  // Seconds since 1970. To be asked about once a second; the first answer is the wall clock's.
  std::int64_t now(const Readings& readings);
  // The wall clock was set, by so much, and is not believed yet.
  std::optional<std::int64_t> jump() const { return jump_; }

 private:
  std::optional<std::int64_t> offset_;  // what is believed: wall - steady
  std::optional<std::int64_t> jump_;
  std::int64_t jumped_at_ = 0;  // steady
};

}  // namespace zks::exit
