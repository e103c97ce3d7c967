// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "base/result.hpp"

namespace zks {

// What somebody entered is wrong, and how it is right: kUsage.
inline Error usage_error(std::string text) {
  return make_error(ErrorKind::kUsage, std::move(text));
}

}  // namespace zks
