// SPDX-License-Identifier: MIT
//
// `ip netns exec` and containers mount a resolv.conf of their own over the machine's: one name, several
// files.
#pragma once

#include <string>
#include <string_view>

namespace zks::host {

// What is mounted at exactly `path`, as a path in its own file system (proc_pid_mountinfo(5), root), by the
// text of a mountinfo; empty: nothing is. The last of several is the one that is seen.
std::string mounted_at(std::string_view mountinfo, std::string_view path);
// The same here and now. `path` may be a symbolic link to what is mounted.
std::string mounted_at(const std::string& path);

}  // namespace zks::host
