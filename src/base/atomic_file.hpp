// SPDX-License-Identifier: MIT
//
// Replaces a file so that every reader, and every reader after a crash or a power cut, finds the old content
// or the new one, never half of either: keys and invites (link/), the ready file (ops/), the exit's link
// file.
#pragma once

#include <filesystem>
#include <string_view>

#include <sys/types.h>

#include "base/result.hpp"

namespace zks {

// Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the directory. `mode` is
// exact: the umask does not apply. kIo on failure, naming the path; `path` is as it was then.
Result<> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                               mode_t mode = 0600);

// Whether a write failed for what a disk has at times (full, over quota, read-only, broken), and not for a
// wrong path: no reason to end a program that can go on without.
bool is_disk_trouble(const Error& error);

// Removes the temporary files that a killed writer of `path` left behind. Only for callers who know that
// nobody else is writing `path` now, by holding a lock.
void remove_unfinished_writes(const std::filesystem::path& path);

}  // namespace zks
