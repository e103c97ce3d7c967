// SPDX-License-Identifier: MIT
//
// Numbers that whoever runs a seeded test gives in the environment: how many seeds, or which one alone.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace zks::test {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace zks::test
