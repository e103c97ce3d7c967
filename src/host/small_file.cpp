// SPDX-License-Identifier: MIT
#include "host/small_file.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace zks::host {

Result<std::string> read_small_file(const std::string& path, std::size_t limit) {
  // O_NONBLOCK: a FIFO under this name must not hang the program.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_error("read " + path, errno);
  struct stat status {};
  int code = ::fstat(fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
  std::string out;
  std::array<char, 4096> piece;
  while (code == 0) {
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) code = errno;
    if (count <= 0) break;
    out.append(piece.data(), static_cast<std::size_t>(count));
    if (out.size() > limit) code = EFBIG;
  }
  ::close(fd);
  if (code != 0) return system_error("read " + path, code);
  return out;
}

}  // namespace zks::host
