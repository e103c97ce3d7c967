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
  if (news) notice_.reset();
  if (!notice_.is_due(now)) return;
  log::error("{}; {}", error_->text, consequence_);
}

}  // namespace zks::exit
