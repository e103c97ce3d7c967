// SPDX-License-Identifier: MIT
#include "exit/expiry_clock.hpp"

#include <cstdlib>
#include <ctime>

namespace zks::exit {

ExpiryClock::Readings ExpiryClock::read() {
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  return {std::time(nullptr), since_boot.tv_sec};
}

std::int64_t ExpiryClock::now(const Readings& readings) {
  const std::int64_t offset = readings.wall - readings.steady;
  if (!offset_) offset_ = offset;
  const std::int64_t jump = offset - *offset_;
  if (std::llabs(jump) <= kSlack) {
    jump_.reset();
    offset_ = offset;
  } else if (!jump_ || std::llabs(jump - *jump_) > kSlack) {
    jump_ = jump;
    jumped_at_ = readings.steady;
  } else if (readings.steady - jumped_at_ >= kStays) {
    jump_.reset();
    offset_ = offset;
  }
  return readings.steady + *offset_;
}

}  // namespace zks::exit
