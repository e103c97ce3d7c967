// SPDX-License-Identifier: MIT
//
// A program's status, for people: from the JSON that its control socket answered to lines for a terminal. A
// member that is missing (the program may be of another version) is shown as "?" or left out; what is in a
// text is made printable.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace zks::ops {

std::string render_status(const nlohmann::json& status);

// "12 s", "3 min 5 s", "2 h 13 min", "4 d 7 h". Any double: it may be another program's.
std::string duration_text(double seconds);
// "512 B", "1.2 MiB".
std::string bytes_text(std::uint64_t bytes);

}  // namespace zks::ops
