// SPDX-License-Identifier: MIT
#include "ops/socket_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace zks::ops {
namespace {

constexpr mode_t kPrivate = 0600;
constexpr int kBacklog = 16;
constexpr const char* kSuffix = ".sock";

Error failure(const std::filesystem::path& path, const char* what, int error) {
  return make_error(ErrorKind::kIo,
                    path.string() + ": " + what + ": " + std::generic_category().message(error));
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

Result<Fd> open_directory(const std::filesystem::path& directory) {
  Fd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failure(directory, "can't be opened", errno);
  return fd;
}

Result<sockaddr_un> address_of(const Fd& directory, const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text =
      "/proc/self/fd/" + std::to_string(directory.get()) + "/" + path.filename().string();
  if (text.size() >= sizeof address.sun_path || !path.has_filename()) {
    return make_error(ErrorKind::kUsage, path.string() + ": its name can't be that of a socket");
  }
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

std::string lock_name(const std::filesystem::path& path) {
  return path.filename().string() + ".lock";
}

// The lock of a file that still has its name: another process may have removed it between open and lock.
Result<Fd> lock(const Fd& directory, const std::filesystem::path& path) {
  const std::string name = lock_name(path);
  for (int attempt = 0; attempt < 16; ++attempt) {
    Fd fd(::openat(directory.get(), name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kPrivate));
    if (!fd) return failure(path, "its lock can't be opened", errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return failure(path, "it can't be locked", errno);
      return make_error(ErrorKind::kUsage,
                        path.string() + ": a running program has it; give another one with --control");
    }
    struct stat held {};
    struct stat named {};
    if (::fstat(fd.get(), &held) == 0 &&
        ::fstatat(directory.get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
      return fd;
    }
  }
  return failure(path, "it can't be locked", EBUSY);
}

// With the lock held: what is there is nobody's any more.
Result<> remove_stale(const Fd& directory, const std::filesystem::path& path) {
  struct stat found {};
  if (::fstatat(directory.get(), path.filename().c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) return {};
  if (!S_ISSOCK(found.st_mode) || found.st_uid != ::geteuid()) {
    return make_error(ErrorKind::kUsage,
                      path.string() + ": there is something else, or someone else's; it is left alone");
  }
  ::unlinkat(directory.get(), path.filename().c_str(), 0);
  return {};
}

Result<Fd> bind_and_listen(const Fd& directory, const std::filesystem::path& path) {
  const auto address = address_of(directory, path);
  if (!address) return address.error();
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return failure(path, "no socket", errno);
  // Before bind() (unix(7), Linux takes the mode over): there is no moment at which others could connect.
  ::fchmod(fd.get(), kPrivate);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return failure(path, "can't be bound", errno);
  }
  if (::listen(fd.get(), kBacklog) != 0) return failure(path, "can't be listened on", errno);
  return fd;
}

void sweep(const std::filesystem::path& path) {
  const auto directory = open_directory(directory_of(path));
  if (!directory) return;
  const auto held = lock(*directory, path);
  if (!held || !remove_stale(*directory, path)) return;
  ::unlinkat(directory->get(), lock_name(path).c_str(), 0);
}

}  // namespace

SocketFile::SocketFile(std::filesystem::path path, Fd directory, Fd lock, Fd listener)
    : path_(std::move(path)),
      directory_(std::move(directory)),
      lock_(std::move(lock)),
      listener_(std::move(listener)) {}

SocketFile::~SocketFile() {
  if (!lock_) return;
  ::unlinkat(directory_.get(), path_.filename().c_str(), 0);
  ::unlinkat(directory_.get(), lock_name(path_).c_str(), 0);
}

Result<SocketFile> SocketFile::create(const std::filesystem::path& path) {
  auto directory = open_directory(directory_of(path));
  if (!directory) return directory.error();
  auto held = lock(*directory, path);
  if (!held) return held.error();
  const auto removed = remove_stale(*directory, path);
  if (!removed) return removed.error();
  auto listener = bind_and_listen(*directory, path);
  if (!listener) return listener.error();
  return SocketFile(path, std::move(*directory), std::move(*held), std::move(*listener));
}

Result<SocketFile> SocketFile::create_in(const std::filesystem::path& directory, const std::string& name) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return failure(directory, "can't be made", errno);
  }
  for (const auto& path : list_sockets(directory)) sweep(path);
  return create(directory / (name + "-" + std::to_string(::getpid()) + kSuffix));
}

std::vector<std::filesystem::path> list_sockets(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> out;
  std::error_code ec;
  for (auto at = std::filesystem::directory_iterator(directory, ec);
       !ec && at != std::filesystem::directory_iterator(); at.increment(ec)) {
    if (at->path().extension() == kSuffix && at->is_socket(ec)) out.push_back(at->path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<Fd> connect_socket(const std::filesystem::path& path) {
  const auto directory = open_directory(directory_of(path));
  if (!directory) return directory.error();
  const auto address = address_of(*directory, path);
  if (!address) return address.error();
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return failure(path, "no socket", errno);
  // connect() waits for a place in the backlog, which a program that hangs never makes.
  constexpr timeval kPatience{5, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0) return fd;
  const bool nobody = errno == ECONNREFUSED || errno == ENOENT;
  Error error = failure(path, "can't be connected to", errno);
  if (nobody) error.kind = ErrorKind::kClosed;
  return error;
}

}  // namespace zks::ops
