// SPDX-License-Identifier: MIT
//
// Integers of a JSON document that somebody else wrote: nlohmann's get<T>() casts what does not fit.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace zks {

// `Json` is nlohmann::json, which this header does not need. Nothing for what is no integer from `low` to
// `high`.
template <class Json>
std::optional<std::uint64_t> read_integer(const Json& value, std::uint64_t low, std::uint64_t high) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.template get<std::uint64_t>();
  if (number < low || number > high) return std::nullopt;
  return number;
}

// The same for a member of an object, which may be missing.
template <class Json>
std::optional<std::uint64_t> read_integer_member(
    const Json& object, const char* name, std::uint64_t low = 0,
    std::uint64_t high = std::numeric_limits<std::uint64_t>::max()) {
  const auto member = object.find(name);
  if (member == object.end()) return std::nullopt;
  return read_integer(*member, low, high);
}

}  // namespace zks
