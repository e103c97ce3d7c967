// SPDX-License-Identifier: MIT
//
// The running modes, each in a file of its name. They return when they were asked to
// end, or with the error that ended them.
#pragma once

#include "options.hpp"

namespace zks::app {

Result<> run_socks5(Socks5Options options);
Result<> run_exit_peer(ExitPeerOptions options);
Result<> run_check(CheckOptions options);
Result<> run_demo(DemoOptions options);

}  // namespace zks::app
