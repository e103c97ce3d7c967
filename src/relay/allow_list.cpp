// SPDX-License-Identifier: MIT
#include "relay/allow_list.hpp"

#include <algorithm>
#include <fstream>

namespace zks::relay {

Result<std::set<RoomId>> parse_rooms(std::string_view text) {
  std::set<RoomId> out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    line = line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
    const auto room = parse_room(line);
    if (!room) {
      return make_error(ErrorKind::kUsage,
                        "line " + std::to_string(number) + " is not a room id (32 characters)");
    }
    out.insert(*room);
  }
  return out;
}

Result<> AllowList::reload() {
  if (path_.empty()) return {};
  std::ifstream file(path_, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  if (!file || (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof())) {
    return make_error(ErrorKind::kUsage, "can't read the allowed rooms from " + path_);
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) return make_error(ErrorKind::kUsage, path_ + " is over 16 MiB");
  auto rooms = parse_rooms(text);
  if (!rooms) return make_error(ErrorKind::kUsage, path_ + ": " + rooms.error().text);
  const std::lock_guard lock(mutex_);
  // A file that was cut off is no decision to close the relay; to close it, stop it.
  if (rooms->empty() && !rooms_.empty()) return make_error(ErrorKind::kUsage, path_ + " has no room in it");
  rooms_ = std::move(*rooms);
  return {};
}

bool AllowList::allows(const RoomId& room) const {
  if (path_.empty()) return true;
  const std::lock_guard lock(mutex_);
  return rooms_.contains(room);
}

}  // namespace zks::relay
