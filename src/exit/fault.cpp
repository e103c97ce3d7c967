// SPDX-License-Identifier: MIT
#include "exit/fault.hpp"

#include "base/log.hpp"

namespace zks::exit {

void Fault::note(const Result<>& outcome, TimePoint now) {
  if (outcome) {
    if (error_) log::info("{}", over_);
    error_.reset();
    return;
  }
  const bool news = !error_ || *error_ != outcome.error();
  error_ = outcome.error();
  if (!news && now - told_ < kTellAgainAfter) return;
  told_ = now;
  log::error("{}; {}", error_->text, consequence_);
}

}  // namespace zks::exit
