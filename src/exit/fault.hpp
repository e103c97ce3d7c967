// SPDX-License-Identifier: MIT
//
// A trouble of the exit's own: state that can't be read, or not be written. It is told in the log when it
// begins and every minute, and when it is over; ExitStatus has it, so that `status` and /healthz fail
// meanwhile.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/repeat_notice.hpp"
#include "base/result.hpp"

namespace zks::exit {

class Fault {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kTellAgainAfter{60};

  // `consequence` and `over` are what the log says behind an error, and afterwards.
  Fault(std::string consequence, std::string over)
      : consequence_(std::move(consequence)), over_(std::move(over)) {}

  // The outcome of one more try.
  void note(const Result<>& outcome, TimePoint now);
  const std::optional<Error>& error() const { return error_; }

 private:
  std::string consequence_;
  std::string over_;
  std::optional<Error> error_;
  RepeatNotice notice_{kTellAgainAfter};
};

}  // namespace zks::exit
