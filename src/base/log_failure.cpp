// SPDX-License-Identifier: MIT
#include "base/log_failure.hpp"

#include "base/log.hpp"

namespace zks {

void log_failure(const std::exception_ptr& failure, const char* where) noexcept {
  if (!failure) return;
  try {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      log::error("{}: {}", where, e.what());
    }
  } catch (...) {
  }
}

}  // namespace zks
