// SPDX-License-Identifier: MIT
//
// How the gates write to the TUN device (gate.hpp): messages as packets that fit the way to who gets them,
// and ICMP errors. An error without a `from` is the tunnel's own word, from its own address: in a
// destination's name goes only what came from there.
//
// Executor: the gate's. Lifetime: the gate's.
#pragma once

#include <functional>
#include <optional>

#include "packet/build.hpp"

namespace zks::vpn {

struct Answers {
  std::function<void(const packet::Message&)> send;
  std::function<void(const packet::Packet&, const packet::IcmpMessage&, std::optional<IpAddress> from)> say;
};

}  // namespace zks::vpn
