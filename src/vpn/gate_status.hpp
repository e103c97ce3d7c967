// SPDX-License-Identifier: MIT
//
// What passed the TUN device and what did not, of one moment: what gate.hpp counts, for `status` and metrics.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "packet/reassembly.hpp"

namespace zks::vpn {

struct TcpCounters {
  std::uint64_t opened = 0;
  std::uint64_t refused = 0;  // by the exit, or on its side
  std::uint64_t dropped = 0;  // SYNs for which there was no room
  std::uint64_t strays = 0;   // segments of no connection
};

struct UdpCounters {
  std::uint64_t sent = 0;      // to the exit
  std::uint64_t received = 0;  // from there
  std::uint64_t dropped = 0;   // no session, or too much in it
};

struct EchoCounters {
  std::uint64_t asked = 0;
  std::uint64_t answered = 0;
  std::uint64_t dropped = 0;  // no session, an exit that does not ping, or too many
  std::uint64_t limited = 0;  // that the exit did not send: too many a second, or beyond the invite's limits
};

// ICMP errors of this machine and of networks behind it.
struct ErrorCounters {
  std::uint64_t used = 0;
  std::uint64_t dropped = 0;  // about nothing that is known, or that nobody waits for
};

struct DnsCounters {
  std::uint64_t asked = 0;
  std::uint64_t dropped = 0;  // no DNS query, too long, or too many at once
};

using MalformedCounters = std::array<std::uint64_t, packet::kMalformedReasons>;  // by packet::Malformed

struct GateStatus {
  std::size_t connections = 0;
  std::size_t flows = 0;
  TcpCounters tcp;
  UdpCounters udp;
  EchoCounters echo;
  ErrorCounters errors;
  DnsCounters dns;
  packet::Reassembler::Counters fragments;
  MalformedCounters malformed{};
  std::uint64_t unreachable = 0;  // answered so: no protocol of ours, no IPv6, UDP or ping at the exit
  std::uint64_t expired = 0;      // answered with "time exceeded": the hop limit ended here
  std::uint64_t lost = 0;         // packets for which a device had no room
};

// Every reason for which a packet was dropped, and how often: a set of fixed size, malformed ones as one.
std::vector<std::pair<std::string, std::uint64_t>> drops(const GateStatus& status);

// What `status` prints (docs/guide/operating.md); of the kinds of malformed packets those that there were.
nlohmann::json to_json(const GateStatus& status);

}  // namespace zks::vpn
