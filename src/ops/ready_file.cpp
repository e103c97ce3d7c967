// SPDX-License-Identifier: MIT
#include "ops/ready_file.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <unistd.h>

#include "base/atomic_file.hpp"
#include "base/log.hpp"
#include "base/log_output.hpp"

namespace zks::ops {
namespace {

// Whoever waits for the file finds in the log what was said before it.
constexpr std::chrono::milliseconds kLogFirst{100};

void remove_quietly(const std::filesystem::path& path) {
  std::error_code ignored;
  // Only a regular file is ever ours: --ready-file /dev/stderr must not remove the device.
  if (std::filesystem::is_regular_file(std::filesystem::symlink_status(path, ignored))) {
    std::filesystem::remove(path, ignored);
  }
}

}  // namespace

Result<> ReadyFile::check(const std::filesystem::path& path) {
  if (path.empty()) return {};
  const std::filesystem::path directory = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code ignored;
  int code = ::access(directory.c_str(), W_OK | X_OK) == 0 ? 0 : errno;
  if (code == 0 && !std::filesystem::is_directory(directory, ignored)) code = ENOTDIR;
  if (code == 0 && std::filesystem::is_directory(path, ignored)) code = EISDIR;
  if (code == 0) return {};
  return make_error(ErrorKind::kUsage,
                    "--ready-file: can't write " + path.string() + ": " + std::strerror(code), code);
}

ReadyFile::ReadyFile(std::filesystem::path path) : path_(std::move(path)) {
  if (!path_.empty()) remove_quietly(path_);
}

ReadyFile::~ReadyFile() {
  if (!path_.empty()) remove_quietly(path_);
}

Result<> ReadyFile::write(pid_t pid, const std::vector<std::string>& lines) {
  if (path_.empty()) return {};
  std::string text = std::to_string(pid) + "\n";
  for (const std::string& line : lines) text.append(line).append("\n");
  log::flush(kLogFirst);
  Result<> written = write_file_atomically(path_, text, 0644);
  if (written || !is_disk_trouble(written.error())) return written;
  log::error("{}; going on without the ready file", written.error().text);
  return {};
}

}  // namespace zks::ops
