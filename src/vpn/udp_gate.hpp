// SPDX-License-Identifier: MIT
//
// UDP of the TUN device: a flow (tunnel/flow.hpp) for each source endpoint, so that whoever a program writes
// to sees it at one address and port of the exit (RFC 4787, endpoint-independent). What comes back is written
// to the device as packets, and so is what ICMP said at the exit.
//
// Memory: `max_flows` entries. Where one more is needed the one that was silent for longest ends.
//
// Executor: the opener's. Lifetime: the owner's.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <unordered_map>

#include <boost/asio/steady_timer.hpp>

#include "tunnel/stream.hpp"
#include "vpn/addresses.hpp"
#include "vpn/answers.hpp"
#include "vpn/gate_status.hpp"

namespace zks::vpn {

class UdpGate {
 public:
  struct Options {
    std::size_t max_flows = 4096;
    std::chrono::milliseconds idle{120'000};     // RFC 4787, REQ-5
    std::chrono::milliseconds idle_dns{10'000};  // only port 53 was written to
  };

  UdpGate(std::shared_ptr<tunnel::StreamOpener> opener, Options options, Answers answers);

  // False when the exit carries no UDP.
  bool take(const packet::Endpoint& source, const packet::Endpoint& target, ByteView datagram);
  bool has_flow(const packet::Endpoint& source) const { return flows_.contains(source); }
  std::size_t flows() const { return flows_.size(); }
  const UdpCounters& counters() const { return counters_; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Entry {
    tunnel::FlowPtr flow;
    TimePoint last_used;
    bool only_dns = true;
    std::list<packet::Endpoint>::iterator turn;  // in order_
  };

  Entry* enter(const packet::Endpoint& source);
  Result<tunnel::FlowPtr> open(const packet::Endpoint& source);
  void touch(Entry& entry);
  void end_oldest();
  void sweep();
  void deliver(const packet::Endpoint& from, const packet::Endpoint& to, ByteView datagram);
  void report(const packet::Endpoint& about, const packet::Endpoint& source, session::IcmpError error);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  Options options_;
  Answers answers_;
  std::unordered_map<packet::Endpoint, Entry, HashEndpoint> flows_;
  std::list<packet::Endpoint> order_;  // silent for longest first
  UdpCounters counters_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace zks::vpn
