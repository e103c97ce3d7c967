// SPDX-License-Identifier: MIT
#include "link/scenarios.hpp"

namespace zks::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::uint64_t kKib = 1024;

LinkOptions same_both_ways(const WayOptions& way) {
  return {way, way};
}

}  // namespace

const std::map<std::string, LinkOptions>& scenarios() {
  static const std::map<std::string, LinkOptions> all = {
      {"lan", same_both_ways({1e9, microseconds(500), 0, 256 * kKib})},
      {"home", {{20e6, milliseconds(10), 0, 64 * kKib}, {100e6, milliseconds(10), 0, 256 * kKib}}},
      {"far", same_both_ways({50e6, milliseconds(75), 0.001, 1024 * kKib})},
      {"far-lossless", same_both_ways({50e6, milliseconds(75), 0, 1024 * kKib})},
      {"bad", same_both_ways({10e6, milliseconds(40), 0.02, 128 * kKib})},
  };
  return all;
}

}  // namespace zks::bench
