// SPDX-License-Identifier: MIT
//
// TCP of the TUN device. The kernel does it: every segment is copied, as it is, to a second TUN device in a
// namespace of its own (private_namespace.hpp), where a listener takes connections to any address. Only SYN
// is looked at. It is held until the exit has connected, so that a port that refuses is refused here, too,
// and an address that can't be reached is answered as a router would. Segments of no connection of ours
// (known_connections.hpp) are dropped, as a stateful filter does.
//
// Memory: `max_connections` connections, the ones whose SYN is held included; a SYN is at most kMaxSynBytes.
// At the bound the connection that is half-closed and silent longest makes room; without one a SYN is
// dropped.
//
// Executor: the opener's. Lifetime: shared.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "base/bytes.hpp"
#include "base/limit_notice.hpp"
#include "net/accept_loop.hpp"
#include "packet/build.hpp"
#include "packet/transport.hpp"
#include "tunnel/connection_set.hpp"
#include "vpn/gate_status.hpp"
#include "vpn/known_connections.hpp"

namespace zks::vpn {

namespace asio = boost::asio;

class TcpGate : public std::enable_shared_from_this<TcpGate> {
 public:
  static constexpr std::size_t kMaxSynBytes = 2048;

  struct Options {
    std::size_t max_connections = 4096;
    std::chrono::milliseconds accept_timeout{30'000};  // for the program to complete its connection
  };
  struct Ways {
    std::function<void(ByteView frame)> to_kernel;  // the second device
    std::function<void(ByteView packet)> to_host;   // RST of the destination
    // An ICMP error about a packet, from the router that the tunnel is.
    std::function<void(const packet::Packet&, const packet::IcmpMessage&)> answer;
    // A connection to an address of the tunnel's own; false: nobody serves there.
    std::function<bool(const packet::Endpoint&)> is_served;
    std::function<void(std::shared_ptr<tunnel::Connection>, packet::Endpoint)> serve;
  };

  TcpGate(std::shared_ptr<tunnel::StreamOpener> opener, Options options, Ways ways);

  // A segment from a program of this machine.
  void take(ByteView frame, const packet::Packet& packet, const packet::Tcp& segment);
  // The listener's connections.
  void admit(tunnel::Socket socket);

  // There is such a connection, or was a moment ago.
  bool knows(const Pair& pair) { return known_.has(pair, std::chrono::steady_clock::now()); }
  std::size_t connections() const { return connections_.size() + held_.size(); }
  const TcpCounters& counters() const { return counters_; }
  // No new connections; those that there are get until `deadline`.
  asio::awaitable<void> stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct Held;
  using HeldPtr = std::shared_ptr<Held>;

  bool has_room();
  void hold(ByteView frame, const Pair& pair);
  void forget(const Pair& pair, const HeldPtr& held);
  void refuse(const Held& held, session::ResetCode code);
  void on_stray(const Pair& pair, const packet::Packet& packet, const packet::Tcp& segment);
  static asio::awaitable<void> open(std::shared_ptr<TcpGate> self, Pair pair, HeldPtr held);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  Options options_;
  Ways ways_;
  std::unordered_map<Pair, HeldPtr, HashPair> held_;
  KnownConnections known_;
  tunnel::ConnectionSet connections_;
  TcpCounters counters_;
  LimitNotice limit_notice_;
  net::Wakeup ended_;
  bool closed_ = false;
};

}  // namespace zks::vpn
