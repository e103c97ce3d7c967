// SPDX-License-Identifier: MIT
//
// The running modes, each in a file of its name. They return when they were asked to
// end, or with the error that ended them.
#pragma once

#include <functional>

#include "options.hpp"

namespace zks::app {

Result<> run_socks5(Socks5Options options);
// What the command line and its file of --config say now; nothing when they are wrong, which was said then.
using ReadAgain = std::function<std::optional<ExitPeerOptions>()>;
// Without `read_again` SIGHUP ends it.
Result<> run_exit_peer(ExitPeerOptions options, const ReadAgain& read_again);
Result<> run_check(CheckOptions options);
Result<> run_demo(DemoOptions options);

}  // namespace zks::app
