// SPDX-License-Identifier: MIT
//
// --ready-file: tells whoever started the program that it serves, and where. The pid, then one address a
// line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"

namespace zks::ops {

// Lifetime: as long as the program serves; the destructor removes the file. Not thread safe.
class ReadyFile {
 public:
  // Whether a file can be made under this name, as far as that can be said before; kUsage when it can't.
  static Result<> check(const std::filesystem::path& path);

  // An empty path: write() does nothing. A file that an earlier process left under this name is removed at
  // once, so that it can't be taken for ours.
  explicit ReadyFile(std::filesystem::path path);
  ReadyFile(const ReadyFile&) = delete;
  ReadyFile& operator=(const ReadyFile&) = delete;
  ~ReadyFile();

  // Atomically, mode 0644: readers see all of it or no file.
  Result<> write(pid_t pid, const std::vector<std::string>& lines);
  // It is another process's now.
  void disown() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

}  // namespace zks::ops
