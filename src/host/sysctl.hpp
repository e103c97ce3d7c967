// SPDX-License-Identifier: MIT
//
// Kernel settings under /proc/sys, of this thread's network namespace.
#pragma once

#include <string>

#include "base/result.hpp"

namespace zks::host {

// By path, such as "net/ipv4/ip_forward"; without the final newline.
Result<std::string> read_sysctl(const std::string& name);
Result<> write_sysctl(const std::string& name, const std::string& value);

// Replies to marked sockets are judged by rp_filter as what they are.
inline constexpr char kMarkCheck[] = "net/ipv4/conf/all/src_valid_mark";

}  // namespace zks::host
