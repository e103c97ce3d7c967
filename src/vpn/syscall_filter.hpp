// SPDX-License-Identifier: MIT
//
// The system calls that are left to vpn's processes without rights (supervisor.hpp), once all is open that
// they need and before the first byte of the network is read. Who takes one over, by a fault in what parses
// that byte, finds a kernel that hardly answers: no program to start, no other process to look into, no file
// to write, no socket but those that it was given. The uid alone leaves all of that.
#pragma once

#include "base/result.hpp"

namespace zks::vpn {

enum class Sockets {
  kGiven,  // the process makes none itself, but for rtnetlink, which only lists networks
  kOwn,  // TCP, UDP and unix sockets: of a proxy and forwards; their names may load a library (nsswitch.conf)
};

// For all threads, for good (seccomp(2)). Needs no_new_privs. What is not on the list fails with ENOSYS, as
// on a kernel that does not know the call: a newer C library tries such calls and has another way. What no
// library tries ends the process (SIGSYS). kUsage: this kernel has no filters. In builds with a sanitizer it
// does nothing: their runtimes fork, trace and map what they like.
Result<> filter_system_calls(Sockets sockets);

}  // namespace zks::vpn
