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

bool SegmentLimits::suspects(const Place& place, std::size_t direction, TimePoint now) {
  const int needed = place.was_found ? 1 : kNeeded;
  return place.stuck[direction] >= needed && now - place.stuck_at <= kTogether;
}

int SegmentLimits::next(const std::string& host, std::uint16_t port, TimePoint now) const {
  const auto at = places_.find({host, port});
  if (at == places_.end()) return 0;
  const Place& place = at->second;
  return now < place.small_until || suspects(place, 0, now) || suspects(place, 1, now) ? kSmall : 0;
}

void SegmentLimits::note(const std::string& host, std::uint16_t port, int segment, Passages passages,
                         TimePoint begun, TimePoint now) {
  if (passages == Passages{}) return;
  Place& place = places_[{host, port}];
  if (now - place.stuck_at > kTogether) place.stuck = {};
  const std::array<Passage, 2> both{passages.in, passages.out};
  const bool follows = begun + kStuckFor >= place.stuck_at;
  for (std::size_t i = 0; i < both.size(); ++i) {
    if (segment == 0 && both[i] == Passage::kPasses) place.stuck[i] = 0;
    if (segment == 0 && both[i] == Passage::kStuck && follows) {
      ++place.stuck[i];
      place.stuck_at = now;
    }
    if (segment == 0 || !suspects(place, i, now)) continue;
    if (both[i] == Passage::kStuck) place.stuck[i] = 0;  // it is not for their size that they are lost
    if (both[i] == Passage::kPasses && follows && now - begun <= kTrial) return found(host, port, now);
  }
}

void SegmentLimits::found(const std::string& host, std::uint16_t port, TimePoint now) {
  Place& place = places_[{host, port}];
  if (now < place.small_until) return;
  place.stuck = {};
  place.was_found = true;
  place.small_until = now + kHolds;
  log::warn(
      "the path to {} loses large packets and does not say so: using TCP segments of at most {} bytes; a "
      "link on the way has a smaller MTU than this machine's, and a firewall drops ICMP",
      format_host_port(host, port), kSmall);
}

}  // namespace zks::carrier
