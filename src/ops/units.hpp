// SPDX-License-Identifier: MIT
//
// Numbers with units as operators write them, in options and config files. Every error is kUsage and says
// what is accepted; the caller adds the option's name.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"

namespace zks::ops {

// A whole number within [low, high].
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t low, std::uint64_t high);

// A whole number and one of s, m, h, d, w; without a unit seconds. More than zero, at most a hundred years.
Result<std::chrono::seconds> parse_duration(std::string_view text);

// A whole number of bytes, as coreutils reads them: K, M, G, T or KiB, MiB, GiB, TiB are powers of 1024, KB,
// MB, GB, TB powers of 1000.
Result<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace zks::ops
