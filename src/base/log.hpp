// SPDX-License-Identifier: MIT
//
// The process log, to stderr. Neither secrets nor, unless asked for, destinations and addresses go into it.
#pragma once

#include <string>

#include <spdlog/spdlog.h>

namespace zks::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// Sets up the default logger on stderr. `level`: trace, debug, info, warn, error or off; false for anything
// else.
bool set_up(const std::string& level, bool json);

}  // namespace zks::log
