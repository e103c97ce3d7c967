// SPDX-License-Identifier: MIT
#pragma once

#include "ops/options.hpp"
#include "options.hpp"

namespace zks::app {

// Runs a mode whose options.tun is set: in two processes (vpn/supervisor.hpp), of which each returns here
// with what it is to exit with.
int run_with_tun(const ops::CommandLine& line, Socks5Options options);

}  // namespace zks::app
