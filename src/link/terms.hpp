// SPDX-License-Identifier: MIT
//
// What an operator laid down for one invite beyond what holds for every user of the exit. Kept with the
// invite (state_files.hpp); what the numbers do is in exit/allowance.hpp, what the rules say in
// exit/policy.hpp and exit/listen_rules.hpp, which this layer does not know: here they are text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zks::link {

inline constexpr std::size_t kMaxRules = 64;       // of one invite, all kinds together
inline constexpr std::size_t kMaxRuleBytes = 288;  // "*." and a name of 253 bytes with a port, and to spare
inline constexpr std::uint64_t kMaxStreams = 1 << 20;
inline constexpr std::uint64_t kMaxStreamRate = 1 << 20;
inline constexpr std::uint64_t kMaxRate = std::uint64_t{1} << 40;   // bytes a second
inline constexpr std::uint64_t kMaxQuota = std::uint64_t{1} << 60;  // bytes

// Of all sessions of the invite together. 0 is no limit.
struct Terms {
  std::vector<std::string> allow{};
  std::vector<std::string> deny{};
  std::vector<std::string> allow_listen{};
  std::uint64_t max_streams = 0;  // connections at once
  std::uint64_t stream_rate = 0;  // new connections a second
  std::uint64_t rate_bytes = 0;   // bytes a second, in each direction
  std::uint64_t quota_bytes = 0;  // bytes in all, both directions

  std::size_t rules() const { return allow.size() + deny.size() + allow_listen.size(); }

  friend bool operator==(const Terms&, const Terms&) = default;
};

}  // namespace zks::link
