// SPDX-License-Identifier: MIT
//
// Reading of files that hold secrets, and the lock that serialises their writers. StateDirectory is the
// caller; replacing files is base/atomic_file.hpp.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace zks::link {

// Text with secrets in it: move-only, wiped when it dies.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept;
  SecretText& operator=(SecretText&& other) noexcept;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText();

  const std::string& view() const { return text_; }

 private:
  void wipe();
  std::string text_;
};

// Overwrites the whole capacity of `text` and empties it.
void wipe_text(std::string& text);

// The content of a regular file that belongs to this user and is closed to all others; std::nullopt when
// there is none. kUsage, saying what to do, when it is open to others or someone else's; kIo when it can't be
// read or is larger than `limit` bytes.
Result<std::optional<SecretText>> read_private_file(const std::filesystem::path& path, std::size_t limit);

// An exclusive flock() on a file that is made when it is not there and never removed. Held until destruction;
// the kernel releases it when the process dies.
class FileLock {
 public:
  // Waits at most 5 s, so that a suspended process can't stop an exit for good; kIo then.
  static Result<FileLock> acquire(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace zks::link
