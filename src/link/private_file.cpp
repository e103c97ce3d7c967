// SPDX-License-Identifier: MIT
#include "link/private_file.hpp"

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace zks::link {
namespace {

constexpr std::chrono::seconds kLockPatience{5};
constexpr std::chrono::milliseconds kLockRetry{5};
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

Error io_error(const char* step, const std::filesystem::path& path, int code) {
  return make_error(ErrorKind::kIo,
                    std::string(step) + " " + path.string() + ": " + std::generic_category().message(code),
                    code);
}

// Its size in bytes.
Result<std::size_t> check_private(int fd, const std::filesystem::path& path, std::size_t limit) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return io_error("read", path, errno);
  if (!S_ISREG(status.st_mode))
    return make_error(ErrorKind::kUsage, path.string() + " is not a regular file");
  if (status.st_uid != ::geteuid()) {
    return make_error(
        ErrorKind::kUsage,
        path.string() + " belongs to another user: run as that user, or use another --state-dir");
  }
  if ((status.st_mode & kOthers) != 0) {
    return make_error(ErrorKind::kUsage,
                      path.string() + " holds secrets and is open to others: run chmod 600 " + path.string());
  }
  if (static_cast<std::uint64_t>(status.st_size) > limit) {
    return make_error(ErrorKind::kIo,
                      path.string() + " is larger than " + std::to_string(limit) + " bytes: it is damaged");
  }
  return static_cast<std::size_t>(status.st_size);
}

// Reads into one allocation, so that growth leaves no copy of a secret behind. One byte of room more than the
// file has shows whether it grew meanwhile, which the atomic writers never do.
Result<std::optional<SecretText>> read_all(int fd, const std::filesystem::path& path, std::size_t expected) {
  std::string text(expected + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int code = errno;
      wipe_text(text);
      return io_error("read", path, code);
    }
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > expected) {
    wipe_text(text);
    return make_error(ErrorKind::kIo, path.string() + " grew while it was read");
  }
  text.resize(size);
  return std::optional<SecretText>(SecretText(std::move(text)));
}

}  // namespace

void wipe_text(std::string& text) {
  text.resize(text.capacity());  // within the capacity: no reallocation
  sodium_memzero(text.data(), text.size());
  text.clear();
}

SecretText::SecretText(SecretText&& other) noexcept : text_(std::move(other.text_)) {
  other.wipe();
}

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this != &other) {
    wipe();
    text_ = std::move(other.text_);
    other.wipe();  // a short text is copied, not moved
  }
  return *this;
}

SecretText::~SecretText() {
  wipe();
}

void SecretText::wipe() {
  wipe_text(text_);
}

Result<std::optional<SecretText>> read_private_file(const std::filesystem::path& path, std::size_t limit) {
  // O_NONBLOCK: a FIFO under this name must not hang the program before fstat() has refused it.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT) return std::optional<SecretText>();
    return io_error("read", path, errno);
  }
  const Result<std::size_t> size = check_private(fd, path, limit);
  if (!size) {
    ::close(fd);
    return size.error();
  }
  auto text = read_all(fd, path, *size);
  ::close(fd);
  return text;
}

Result<FileLock> FileLock::acquire(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return io_error("lock", path, errno);
  const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    if (code != EWOULDBLOCK && code != EINTR) {
      ::close(fd);
      return io_error("lock", path, code);
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      ::close(fd);
      return make_error(ErrorKind::kIo,
                        "another process has held " + path.string() + " for 5 s: end it and try again");
    }
    std::this_thread::sleep_for(kLockRetry);
  }
  return FileLock(fd);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace zks::link
