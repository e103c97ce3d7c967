// SPDX-License-Identifier: MIT
//
// Echo requests of this machine: the exit sends them, and what it hears, a reply or an ICMP error, is written
// to the TUN device as the network's own answer. Where nothing comes back, nothing is said. How many are
// under way is bounded below (tunnel/requests.hpp), and at the exit; what is not sent for that is answered
// with "prohibited" by the tunnel, so that ping does not take it for lost in the network.
//
// Executor: the opener's. Lifetime: shared.
#pragma once

#include <memory>

#include "packet/transport.hpp"
#include "tunnel/stream.hpp"
#include "vpn/answers.hpp"
#include "vpn/gate_status.hpp"

namespace zks::vpn {

class EchoGate : public std::enable_shared_from_this<EchoGate> {
 public:
  EchoGate(std::shared_ptr<tunnel::StreamOpener> opener, Answers answers)
      : opener_(std::move(opener)), answers_(std::move(answers)) {}

  void take(const packet::Packet& packet, const packet::Echo& request);
  const EchoCounters& counters() const { return counters_; }

 private:
  void deliver(ByteView request, const tunnel::EchoAnswer& answer);
  void deliver_reply(const packet::Packet& request, const IpAddress& from, const tunnel::EchoAnswer& answer);
  void refuse(const packet::Packet& request);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  Answers answers_;
  EchoCounters counters_;
};

}  // namespace zks::vpn
