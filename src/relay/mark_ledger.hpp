// SPDX-License-Identifier: MIT
//
// How far a receiver is behind (PROTOCOL.md, "The relay"): a mark goes to it after every 256 KiB, and what
// was sent since the oldest mark that it did not echo must stay within the window. Sans-IO, one for each half
// of a pair.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace zks::relay {

class MarkLedger {
 public:
  static constexpr std::uint64_t kMarkEveryBytes = 256 * 1024;

  explicit MarkLedger(std::uint64_t window_bytes) : window_bytes_(window_bytes) {}

  // `bytes` more went to the receiver. Returns the id of a mark that has to follow them.
  std::optional<std::string> sent(std::uint64_t bytes);
  // The receiver echoed `id`; false when no such mark is waited for.
  bool echoed(std::string_view id);
  // More than the window behind the oldest mark not echoed.
  bool behind() const;
  // Marks not echoed: at most window / 256 KiB and one.
  std::size_t open_marks() const { return marks_.size(); }

 private:
  struct OpenMark {
    std::string id;
    std::uint64_t position;  // bytes sent before it
  };

  const std::uint64_t window_bytes_;
  std::uint64_t sent_ = 0;
  std::uint64_t next_mark_ = kMarkEveryBytes;
  std::deque<OpenMark> marks_;
};

}  // namespace zks::relay
