// SPDX-License-Identifier: MIT
#include "secret_file.hpp"

#include <cerrno>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.hpp"

namespace zks::app {
namespace {

constexpr std::size_t kWhiteSpace = 64;  // bytes around the line that are still read
constexpr std::string_view kBlank = " \t\r\n";

Error usage(const std::string& path, const std::string& what) {
  return make_error(ErrorKind::kUsage, path + ": " + what);
}

void warn_when_open_to_others(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return;
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    log::warn("{} holds a secret and is open to others: run chmod 600 {}", path, path);
  }
}

// Up to `text`'s size, which is then what was read.
bool read_some(int fd, std::string& text) {
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return true;
}

}  // namespace

Result<link::SecretText> read_secret_line(const std::string& path, std::size_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return usage(path, std::generic_category().message(errno));
  warn_when_open_to_others(fd, path);
  std::string content(limit + kWhiteSpace + 1, '\0');
  const bool read = read_some(fd, content);
  const int code = errno;
  ::close(fd);
  const link::SecretText whole(std::move(content));
  if (!read) return usage(path, std::generic_category().message(code));

  std::string_view line = whole.view();
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  line = line.substr(0, line.find_last_not_of(kBlank) + 1);
  if (line.empty()) return usage(path, "is empty");
  if (line.size() > limit || whole.view().size() > limit + kWhiteSpace) return usage(path, "is too long");
  if (line.find('\n') != std::string_view::npos) return usage(path, "has more than one line");
  return link::SecretText(std::string(line));
}

}  // namespace zks::app
