// SPDX-License-Identifier: MIT
//
// The file of a control socket: who may bind it, and what becomes of one that a killed process left. Beside
// the socket lies NAME.lock, which a running program holds locked: whoever gets the lock knows that nobody
// serves the socket and may replace it, and the kernel lets go of a dead process's lock. So a live socket is
// never taken away, and no two programs replace the same stale one.
//
// Sockets are bound and connected to through /proc/self/fd/N/NAME, where N is their directory: sun_path has
// room for 107 bytes only, and state directories may be deeper.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace zks::ops {

// Lifetime: while the program serves; the destructor removes both files.
class SocketFile {
 public:
  // Binds and listens, mode 0600. kUsage when a running program has it, or something else is at `path`; kIo.
  static Result<SocketFile> create(const std::filesystem::path& path);
  // In `directory`, which is made (0700) when it is not there: NAME-PID.sock. What dead processes left there
  // is removed.
  static Result<SocketFile> create_in(const std::filesystem::path& directory, const std::string& name);

  SocketFile(SocketFile&&) noexcept = default;
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile();

  const std::filesystem::path& path() const { return path_; }
  // The listening socket, once; it does not block.
  int take_listener() { return listener_.release(); }

 private:
  SocketFile(std::filesystem::path path, Fd directory, Fd lock, Fd listener);

  std::filesystem::path path_;
  Fd directory_;
  Fd lock_;
  Fd listener_;
};

// The sockets in `directory`, in the order of their names; the stale ones too.
std::vector<std::filesystem::path> list_sockets(const std::filesystem::path& directory);

// A blocking connection. kClosed when nobody serves there; kIo otherwise.
Result<Fd> connect_socket(const std::filesystem::path& path);

}  // namespace zks::ops
