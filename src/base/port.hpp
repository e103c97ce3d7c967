// SPDX-License-Identifier: MIT
//
// Ports: those that have a meaning here, and their decimal text.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace zks {

inline constexpr std::uint16_t kDnsPort = 53;
inline constexpr std::uint16_t kHttpPort = 80;

// One to five digits, 1 to 65535.
std::optional<std::uint16_t> parse_port(std::string_view text);
// Likewise, from 0 on: the kernel takes that for any port that is free.
std::optional<std::uint16_t> parse_port_to_bind(std::string_view text);

}  // namespace zks
