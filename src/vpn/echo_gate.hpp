// SPDX-License-Identifier: MIT
//
// Echo requests of this machine: the exit sends them, and what it hears, a reply or an ICMP error, is written
// to the TUN device as the network's own answer. Where nothing comes back, nothing is said. How many are
// under way is bounded below (tunnel/requests.hpp); what is beyond that is lost, as pings may be.
//
// Executor: the opener's. Lifetime: shared.
#pragma once

#include <functional>
#include <memory>

#include "packet/build.hpp"
#include "tunnel/stream.hpp"
#include "vpn/gate_status.hpp"

namespace zks::vpn {

class EchoGate : public std::enable_shared_from_this<EchoGate> {
 public:
  EchoGate(std::shared_ptr<tunnel::StreamOpener> opener, std::function<void(const packet::Message&)> send,
           std::function<void(ByteView packet)> to_host)
      : opener_(std::move(opener)), send_(std::move(send)), to_host_(std::move(to_host)) {}

  void take(const packet::Packet& packet, const packet::Echo& request);
  const EchoCounters& counters() const { return counters_; }

 private:
  void deliver(ByteView request, const tunnel::EchoAnswer& answer);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  std::function<void(const packet::Message&)> send_;
  std::function<void(ByteView)> to_host_;
  EchoCounters counters_;
};

}  // namespace zks::vpn
