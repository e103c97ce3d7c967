// SPDX-License-Identifier: MIT
//
// Fragments put together (RFC 791, section 3.2; RFC 8200, section 4.5). Fragments that overlap end the packet
// that they belong to, in IPv4 as in IPv6 (RFC 5722): nobody sends such but to get past a filter. One that
// came twice is ignored. Memory: kMaxReassemblies packets and kMaxReassemblyBytes of their fragments, each
// counted with kFragmentCost; where more is needed the oldest packet is dropped. The last packet that was
// completed stays, too, at most kMaxPacket bytes more. The time is the caller's.
#pragma once

#include <array>
#include <chrono>
#include <map>

#include "packet/packet.hpp"

namespace zks::packet {

inline constexpr std::size_t kMaxReassemblies = 64;
inline constexpr std::size_t kMaxReassemblyBytes = 1024 * 1024;
inline constexpr std::size_t kMaxFragments = 128;  // of a packet: 65,535 bytes at an MTU of 576
inline constexpr std::size_t kFragmentCost = 96;   // of a fragment, beside its bytes
inline constexpr auto kReassemblyTimeout = std::chrono::seconds(30);

class Reassembler {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Counters {
    std::uint64_t completed = 0;
    std::uint64_t timed_out = 0;    // packets of which something never came
    std::uint64_t crowded_out = 0;  // packets that made room
    std::uint64_t refused = 0;      // packets with an overlap, two ends or too many fragments
  };

  // Takes a packet with Packet::fragment. The packet that it completes, for parse(), or nothing. The view is
  // good until the next call.
  std::optional<ByteView> add(const Packet& packet, TimePoint now);
  // Drops what is kReassemblyTimeout old; add() does it, too.
  void expire(TimePoint now);

  std::size_t size() const { return parts_.size(); }
  std::size_t bytes() const { return bytes_; }
  const Counters& counters() const { return counters_; }

 private:
  // Family, source, target, id and, of IPv4, the protocol.
  using Key = std::array<std::uint8_t, 38>;
  struct Parts {
    TimePoint begun{};
    Bytes header{};                         // of the first fragment, once it came
    std::size_t next_header = 0;            // IPv6: where in it the fragment header is named
    std::uint8_t protocol = 0;              // that stands there instead
    std::map<std::size_t, Bytes> pieces{};  // by offset, none overlapping
    std::size_t cost = 0;                   // what it adds to bytes()
    std::size_t received = 0;               // bytes of pieces
    std::optional<std::size_t> end{};       // once the last one came
    bool refused = false;  // stays until its time is up, so that what comes late does not begin anew
  };
  using Table = std::map<Key, Parts>;

  bool insert(const Key& key, Parts& parts, const Packet& packet);
  bool assemble(const Parts& parts);
  void refuse(Parts& parts);
  void forget(Table::iterator at);
  void crowd_out(const Key& key);

  Table parts_;
  std::size_t bytes_ = 0;
  Bytes whole_;
  Counters counters_;
};

}  // namespace zks::packet
