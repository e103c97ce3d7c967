// SPDX-License-Identifier: MIT
//
// Files that a user wrote and that hold a secret: --link-file, --user-file. Unlike those in the state
// directory they may be anywhere, a pipe included (--link-file <(pass show zks)), so a warning is all that
// wrong modes cause.
#pragma once

#include <string>

#include "link/private_file.hpp"

namespace zks::app {

// The file's only line, without white space around it. kUsage when it can't be read, is empty, has more
// lines, or is longer than `limit` bytes.
Result<link::SecretText> read_secret_line(const std::string& path, std::size_t limit);

}  // namespace zks::app
