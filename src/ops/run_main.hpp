// SPDX-License-Identifier: MIT
//
// What every program does around its main function.
#pragma once

namespace zks::ops {

// Prepares the process, runs `program` and returns its exit status; 1 with one line on stderr when it throws.
// Prepared is: /dev/null in place of standard input, output and error where they are closed; libsodium;
// SIGPIPE ignored (writes say EPIPE instead); no core dumps, which would put keys on disk; as many
// descriptors as the hard limit allows. What the log still has to say is waited for (log_output.hpp).
int run_main(int (*program)(int argc, char** argv), int argc, char** argv);

}  // namespace zks::ops
