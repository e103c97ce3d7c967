// SPDX-License-Identifier: MIT
//
// --allow-rooms: the rooms that may use this relay, one room id a line, # begins a comment. Read at start and
// again at each reload; a room that was taken out keeps its open connections until they end.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "base/names.hpp"
#include "base/result.hpp"

namespace zks::relay {

// kUsage names the line that is no room id.
Result<std::set<RoomId>> parse_rooms(std::string_view text);

// Thread-safe.
class AllowList {
 public:
  static constexpr std::size_t kMaxFileBytes = 16 << 20;

  // An empty path: every room is allowed.
  explicit AllowList(std::string path) : path_(std::move(path)) {}

  // Reads the file again; on an error, or when a list has become empty, it stays as it was.
  Result<> reload();
  bool allows(const RoomId& room) const;

 private:
  const std::string path_;
  mutable std::mutex mutex_;
  std::set<RoomId> rooms_;
};

}  // namespace zks::relay
