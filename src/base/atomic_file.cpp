// SPDX-License-Identifier: MIT
#include "base/atomic_file.hpp"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.hpp"

namespace zks {
namespace {

constexpr std::string_view kSuffix = ".tmp";

Error io_error(const char* step, const std::filesystem::path& path) {
  const int code = errno;
  return make_error(ErrorKind::kIo,
                    std::string(step) + " " + path.string() + ": " + std::generic_category().message(code),
                    code);
}

std::string temporary_prefix(const std::filesystem::path& path) {
  return "." + path.filename().string() + ".";
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t count = ::write(fd, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

// The kernel stamps files with a clock that advances in steps of up to 10 ms, so two replacements within a
// step would look alike to a reader that polls stat(); the precise clock tells them apart.
bool stamp_precisely(int fd) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const timespec times[2] = {now, now};
  return ::futimens(fd, times) == 0;
}

Result<> sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return io_error("open", directory);
  const bool synced = ::fsync(fd) == 0;
  const Error error = synced ? Error{} : io_error("sync", directory);
  ::close(fd);
  if (!synced) return error;
  return {};
}

}  // namespace

Result<> write_file_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  const std::filesystem::path directory = path.has_parent_path() ? path.parent_path() : ".";
  const std::string name = temporary_prefix(path) + to_hex(random_array<8>()) + std::string(kSuffix);
  const std::filesystem::path temporary = directory / name;

  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return io_error("write", path);
  bool written = ::fchmod(fd, mode) == 0 && write_all(fd, content) && stamp_precisely(fd) && ::fsync(fd) == 0;
  Error error = written ? Error{} : io_error("write", path);
  if (::close(fd) != 0 && written) {
    written = false;
    error = io_error("write", path);
  }
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = false;
    error = io_error("replace", path);
  }
  if (!written) {
    ::unlink(temporary.c_str());
    return error;
  }
  return sync_directory(directory);
}

bool is_disk_trouble(const Error& error) {
  const int code = error.detail;
  return error.kind == ErrorKind::kIo && (code == ENOSPC || code == EDQUOT || code == EROFS || code == EIO);
}

void remove_unfinished_writes(const std::filesystem::path& path) {
  const std::string prefix = temporary_prefix(path);
  std::error_code ignored;  // a leftover that can't be removed costs a few kilobytes, nothing else
  const std::filesystem::path directory = path.has_parent_path() ? path.parent_path() : ".";
  for (std::filesystem::directory_iterator it(directory, ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(kSuffix)) ::unlink(it->path().c_str());
  }
}

}  // namespace zks
