// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/result.hpp"

namespace zks {

// kIo with `code` (errno) as detail: what `action` could not do, and what to do next where that is known.
Error system_error(const std::string& action, int code);

}  // namespace zks
