// SPDX-License-Identifier: MIT
//
// Every user of a machine can read the command lines of all its processes (/proc/PID/cmdline).
#pragma once

namespace zks::app {

// Overwrites in place, with asterisks, what follows '#' in a link and ':' in the value of --user,
// --header and --http-proxy (where it is the one behind the scheme). The time between the start of the
// process and this call stays: --link-file and ZKS_LINK have no such gap.
void hide_secrets(int argc, char** argv);

}  // namespace zks::app
