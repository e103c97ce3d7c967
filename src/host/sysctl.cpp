// SPDX-License-Identifier: MIT
#include "host/sysctl.hpp"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "host/small_file.hpp"

namespace zks::host {

Result<std::string> read_sysctl(const std::string& name) {
  auto text = read_small_file("/proc/sys/" + name);
  if (text && text->ends_with('\n')) text->pop_back();
  return text;
}

Result<> write_sysctl(const std::string& name, const std::string& value) {
  const std::string path = "/proc/sys/" + name;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return system_error("write " + path, errno);
  // The kernel takes a setting in one write, or not at all.
  const ssize_t count = ::write(fd, value.data(), value.size());
  const int code = count == static_cast<ssize_t>(value.size()) ? 0 : count < 0 ? errno : EIO;
  ::close(fd);
  if (code != 0) return system_error("write " + path, code);
  return {};
}

}  // namespace zks::host
