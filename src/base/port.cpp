// SPDX-License-Identifier: MIT
#include "base/port.hpp"

#include <algorithm>
#include <charconv>

#include "base/ascii.hpp"

namespace zks {

std::optional<std::uint16_t> parse_port_to_bind(std::string_view text) {
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit))
    return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failure != std::errc{}) return std::nullopt;
  return port;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_port_to_bind(text);
  if (port == 0) return std::nullopt;
  return port;
}

}  // namespace zks
