// SPDX-License-Identifier: MIT
//
// ICMP errors that this machine, or a router of a network behind it, sends about packets that came out of the
// tunnel. Where they quote a connection that there is, the kernel that has it hears them (tcp_gate.hpp), and
// checks the sequence number; so path MTU discovery works, for containers and whoever is routed here. "Too
// big" about what was built here (datagrams, answers to DNS and ping) goes into path_mtus.hpp. All else is
// dropped: the exit has no way to pass it on, and it may be made up.
//
// Executor: the gate's. Lifetime: the gate's.
#pragma once

#include <functional>

#include "packet/icmp_error.hpp"
#include "vpn/gate_status.hpp"
#include "vpn/path_mtus.hpp"
#include "vpn/tcp_gate.hpp"

namespace zks::vpn {

class ErrorGate {
 public:
  struct Ways {
    std::function<bool(const Pair&)> is_connection;
    std::function<bool(const packet::Endpoint&)> is_flow;  // of a program's endpoint
    std::function<bool(const IpAddress&)> is_own;          // an address of the tunnel
    std::function<void(ByteView frame)> to_kernel;
  };

  ErrorGate(PathMtus& mtus, Ways ways) : mtus_(mtus), ways_(std::move(ways)) {}

  void take(ByteView frame, const packet::Packet& packet, const packet::IcmpError& error);
  const ErrorCounters& counters() const { return counters_; }

 private:
  bool passed_on(ByteView frame, const packet::Packet& packet, const packet::IcmpError& error);
  bool is_ours(const packet::Quoted& quoted) const;

  PathMtus& mtus_;
  Ways ways_;
  ErrorCounters counters_;
};

}  // namespace zks::vpn
