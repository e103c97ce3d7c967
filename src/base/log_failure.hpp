// SPDX-License-Identifier: MIT
#pragma once

#include <exception>

namespace zks {

// For co_spawn: an exception ends what it happened in, not the program. It can only be lack of memory; where
// there is none to log with, nothing is said. Nothing is said of no failure, either.
void log_failure(const std::exception_ptr& failure, const char* where) noexcept;

}  // namespace zks
