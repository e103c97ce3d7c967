// SPDX-License-Identifier: MIT
//
// Files of a few lines that others write: resolv.conf, sysctls under /proc/sys.
#pragma once

#include <string>

#include "base/result.hpp"

namespace zks::host {

inline constexpr std::size_t kMaxSmallFile = 64 * 1024;

// kIo, with errno in `detail`, also for more than `limit` bytes and what is not a regular file.
Result<std::string> read_small_file(const std::string& path, std::size_t limit = kMaxSmallFile);

// For what `action` could not do because of `code` (errno), with what to do next where that is known.
Error system_error(const std::string& action, int code);

}  // namespace zks::host
