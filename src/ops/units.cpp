// SPDX-License-Identifier: MIT
#include "ops/units.hpp"

#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "base/usage_error.hpp"

namespace zks::ops {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kDurations[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86'400}, {"w", 604'800}};
constexpr std::uint64_t kLongestSeconds = std::uint64_t{36'525} * 86'400;

constexpr std::uint64_t kKibi = 1024;
constexpr std::uint64_t kKilo = 1000;
constexpr Unit kSizes[] = {{"", 1},
                           {"B", 1},
                           {"K", kKibi},
                           {"KiB", kKibi},
                           {"KB", kKilo},
                           {"M", kKibi* kKibi},
                           {"MiB", kKibi* kKibi},
                           {"MB", kKilo* kKilo},
                           {"G", kKibi* kKibi* kKibi},
                           {"GiB", kKibi* kKibi* kKibi},
                           {"GB", kKilo* kKilo* kKilo},
                           {"T", kKibi* kKibi* kKibi* kKibi},
                           {"TiB", kKibi* kKibi* kKibi* kKibi},
                           {"TB", kKilo* kKilo* kKilo* kKilo}};

// Digits and one of `units`; nothing on anything else, overflow included.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& each : units) {
    if (each.name != unit) continue;
    if (number > std::numeric_limits<std::uint64_t>::max() / each.factor) return std::nullopt;
    return number * each.factor;
  }
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t low, std::uint64_t high) {
  constexpr Unit kNone[] = {{"", 1}};
  const auto count = parse_with_unit(text, kNone);
  if (!count || *count < low || *count > high) {
    return usage_error("not a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return *count;
}

Result<std::chrono::seconds> parse_duration(std::string_view text) {
  const auto count = parse_with_unit(text, kDurations);
  if (!count) return usage_error("not a duration such as 90s, 15m, 12h, 30d or 2w");
  if (*count == 0 || *count > kLongestSeconds)
    return usage_error("a duration is between one second and a hundred years");
  return std::chrono::seconds(*count);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto count = parse_with_unit(text, kSizes);
  if (!count) return usage_error("not a size such as 4096, 512K, 64MiB or 1GB");
  return *count;
}

}  // namespace zks::ops
