// SPDX-License-Identifier: MIT
#include "base/result.hpp"

#include <stdexcept>

namespace zks {

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.text);
}

int exit_status(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kUsage:
      return 2;
    case ErrorKind::kRefused:
    case ErrorKind::kUntrusted:
      return 3;
    default:
      return 1;
  }
}

}  // namespace zks
