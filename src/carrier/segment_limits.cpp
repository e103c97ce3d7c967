// SPDX-License-Identifier: MIT
#include "carrier/segment_limits.hpp"

#include "base/log.hpp"
#include "base/relay_url.hpp"

namespace zks::carrier {
namespace {

using namespace std::chrono_literals;

constexpr auto kTogether = 60s;          // connections that are stuck within this time have the same reason
constexpr auto kStuckFor = 1s;           // at least, before it is noted; its successor is made meanwhile
constexpr auto kTrial = 10s;             // what was stuck waits: over one with small segments it goes at once
constexpr auto kHolds = 1h;              // then large ones are tried again
constexpr int kNeeded = 2;               // of the connections that are stuck; one where it was found before
constexpr std::uint32_t kTries = 1;      // again, of a segment that gets no answer while nothing else comes
constexpr std::uint32_t kManyTries = 3;  // whatever else comes
constexpr std::uint64_t kSome = 16 * 1024;  // with small segments: no handshake, and so in full ones
constexpr std::uint64_t kMuch = 64 * 1024;  // with large ones

Passage way_in(const net::TcpState& state, bool limited, Silence silence) {
  const bool large = limited || state.receive_segment > SegmentLimits::kSmall;
  if (large && state.received_bytes >= (limited ? kSome : kMuch)) return Passage::kPasses;
  // All that we said has arrived, so both ways are open to what is small.
  return silence == Silence::kOwed && state.unacknowledged_bytes == 0 ? Passage::kStuck : Passage::kUnknown;
}

Passage way_out(const net::TcpState& state, bool limited, Silence silence) {
  if (state.acknowledged_bytes >= (limited ? kSome : kMuch)) return Passage::kPasses;
  const std::uint32_t tries = silence == Silence::kNone ? kManyTries : kTries;
  const bool stuck = state.unacknowledged_bytes > SegmentLimits::kSmall && state.retransmits >= tries;
  return stuck ? Passage::kStuck : Passage::kUnknown;
}

}  // namespace

Passages passages_of(const net::TcpState& state, int segment, Silence silence) {
  const bool limited = segment != 0;
  if (!limited && state.send_segment <= SegmentLimits::kSmall) return {};  // small enough by itself
  return {way_in(state, limited, silence), way_out(state, limited, silence)};
}

bool SegmentLimits::suspects(const PathState& state, std::size_t direction, TimePoint now) {
  const int needed = state.was_found ? 1 : kNeeded;
  return state.stuck[direction] >= needed && now - state.stuck_at <= kTogether;
}

int SegmentLimits::next(const std::string& host, std::uint16_t port, TimePoint now) const {
  const auto at = states_.find({host, port});
  if (at == states_.end()) return 0;
  const PathState& state = at->second;
  return now < state.small_until || suspects(state, 0, now) || suspects(state, 1, now) ? kSmall : 0;
}

void SegmentLimits::note(const std::string& host, std::uint16_t port, int segment, Passages passages,
                         TimePoint begun, TimePoint now) {
  if (passages == Passages{}) return;
  PathState& state = states_[{host, port}];
  if (now - state.stuck_at > kTogether) state.stuck = {};
  const std::array<Passage, 2> both{passages.in, passages.out};
  const bool follows = begun + kStuckFor >= state.stuck_at;
  for (std::size_t i = 0; i < both.size(); ++i) {
    if (segment == 0 && both[i] == Passage::kPasses) state.stuck[i] = 0;
    if (segment == 0 && both[i] == Passage::kStuck && follows) {
      ++state.stuck[i];
      state.stuck_at = now;
    }
    if (segment == 0 || !suspects(state, i, now)) continue;
    if (both[i] == Passage::kStuck) state.stuck[i] = 0;  // it is not for their size that they are lost
    if (both[i] == Passage::kPasses && follows && now - begun <= kTrial) return found(host, port, now);
  }
}

void SegmentLimits::found(const std::string& host, std::uint16_t port, TimePoint now) {
  PathState& state = states_[{host, port}];
  if (now < state.small_until) return;
  state.stuck = {};
  state.was_found = true;
  state.small_until = now + kHolds;
  log::warn(
      "the path to {} loses large packets and does not say so: using TCP segments of at most {} bytes; a "
      "link on the way has a smaller MTU than this machine's, and a firewall drops ICMP",
      format_host_port(host, port), kSmall);
}

}  // namespace zks::carrier
