// SPDX-License-Identifier: MIT
//
// Files of a few lines that others write: resolv.conf, sysctls under /proc/sys.
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/system_error.hpp"

namespace zks::host {

inline constexpr std::size_t kMaxSmallFile = 64 * 1024;

// kIo, with errno in `detail`, also for more than `limit` bytes and what is not a regular file.
Result<std::string> read_small_file(const std::string& path, std::size_t limit = kMaxSmallFile);

}  // namespace zks::host
