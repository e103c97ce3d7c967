// SPDX-License-Identifier: MIT
//
// Paths that lose large packets: a link on the way takes less than what a segment of ours fills, and the
// router's word of it (RFC 1191, RFC 8201) is lost. TCP sends the same segment again and again, and all that
// is small arrives (RFC 2923, section 2.1). What the connections to a relay or a proxy showed is put together
// here, and says how large the segments of the next one may be. Sans-IO: socket_options.hpp asks the kernel.
//
// That a connection is stuck proves nothing: the path may have been away for a while, or a NAT may have
// forgotten it. So it takes two in a row, the second begun after the first was stuck, over which hardly
// anything large went; then one with small segments is tried, and only if much goes over that one the path is
// said to lose large packets. In TLS's handshake it is shown at once (reach.hpp).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "carrier/path.hpp"
#include "net/socket_options.hpp"

namespace zks::carrier {

enum class Passage : std::uint8_t { kUnknown, kStuck, kPasses };

// Whether what is large goes through.
struct Passages {
  Passage in = Passage::kUnknown;
  Passage out = Passage::kUnknown;
  bool stuck() const { return in == Passage::kStuck || out == Passage::kStuck; }
  bool operator==(const Passages&) const = default;
};

// `segment`: what the connection was limited to, 0 for nothing.
Passages passages_of(const net::TcpState& state, int segment, Silence silence);

// Executor: the dialler's.
class SegmentLimits {
 public:
  using Clock = std::chrono::steady_clock;
  using TimePoint = Clock::time_point;

  // Every link that carries IPv6 takes packets of 1,280 bytes (RFC 8200, section 5), and hardly any takes
  // less: 1,240 bytes are left by an IPv4 header and a TCP one, 1,220 by an IPv6 one. The 20 below that are
  // for one more label or tag on the way; QUIC begins with as much (RFC 9000, section 14). TCP's options are
  // within it.
  static constexpr int kSmall = 1'200;

  // What the next connection there is limited to; 0: nothing.
  int next(const std::string& host, std::uint16_t port, TimePoint now) const;
  // What a connection there showed that was made at `begun` with that limit.
  void note(const std::string& host, std::uint16_t port, int segment, Passages passages, TimePoint begun,
            TimePoint now);
  // One without a limit hung while one with it, made later, got through.
  void found(const std::string& host, std::uint16_t port, TimePoint now);
  // The machine may be in another network: large ones are tried again.
  void network_changed() {
    for (auto& [name, state] : states_) state.small_until = {};
  }

 private:
  struct PathState {
    std::array<int, 2> stuck{};  // connections in a row, in and out
    TimePoint stuck_at{};        // the last of them
    TimePoint small_until{};
    bool was_found = false;
  };
  static bool suspects(const PathState& state, std::size_t direction, TimePoint now);

  std::map<std::pair<std::string, std::uint16_t>, PathState> states_;  // the link's relays, and proxies
};

// Tells the limits what a connection shows, each thing once.
class SegmentWatch {
 public:
  SegmentWatch(std::shared_ptr<SegmentLimits> limits, std::string host, std::uint16_t port, int segment)
      : limits_(std::move(limits)), host_(std::move(host)), port_(port), segment_(segment) {}
  // False: what is large passes, both ways. It is called where a connection ends, which has to go on.
  bool look(const net::TcpState& state, Silence silence) noexcept {
    const Passages passages = passages_of(state, segment_, silence);
    if (passages != told_) tell(passages);
    told_ = passages;
    return passages.in != Passage::kPasses || passages.out != Passage::kPasses;
  }

 private:
  void tell(Passages passages) noexcept {
    try {
      limits_->note(host_, port_, segment_, passages, begun_, SegmentLimits::Clock::now());
    } catch (...) {  // without memory nothing is learned
    }
  }

  std::shared_ptr<SegmentLimits> limits_;
  std::string host_;
  std::uint16_t port_;
  int segment_;
  SegmentLimits::TimePoint begun_ = SegmentLimits::Clock::now();
  Passages told_;
};

}  // namespace zks::carrier
