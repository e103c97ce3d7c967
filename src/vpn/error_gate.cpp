// SPDX-License-Identifier: MIT
#include "vpn/error_gate.hpp"

#include "base/port.hpp"

namespace zks::vpn {
namespace {

constexpr std::uint8_t kReplyV4 = 0;
constexpr std::uint8_t kReplyV6 = 129;

}  // namespace

void ErrorGate::take(ByteView frame, const packet::Packet& packet, const packet::IcmpError& error) {
  ++(passed_on(frame, packet, error) ? counters_.used : counters_.dropped);
}

// An error goes to who sent the packet, so to the address that it quotes as the source.
bool ErrorGate::passed_on(ByteView frame, const packet::Packet& packet, const packet::IcmpError& error) {
  const packet::Quoted& quoted = error.quoted;
  if (frame.empty() || packet.target != quoted.source.address) return false;
  if (quoted.protocol == packet::kTcp) {
    if (!ways_.is_connection({quoted.target, quoted.source})) return false;
    ways_.to_kernel(frame);
    return true;
  }
  // A packet that fits, or that routers may cut, was not too big (RFC 5927, section 7.2).
  if (!error.is_too_big() || error.said.mtu >= quoted.length || quoted.may_fragment) return false;
  if (!is_ours(quoted)) return false;
  mtus_.note(quoted.target.address, error.said.mtu, std::chrono::steady_clock::now());
  return true;
}

// An echo reply leaves nothing by which it would be known again: who makes one up gets smaller fragments.
bool ErrorGate::is_ours(const packet::Quoted& quoted) const {
  if (quoted.protocol == packet::kUdp) {
    return ways_.is_flow(quoted.target) ||
           (ways_.is_own(quoted.source.address) && quoted.source.port == kDnsPort);
  }
  return quoted.source.address.is_ipv4() ? quoted.protocol == packet::kIcmp && quoted.icmp_type == kReplyV4
                                         : quoted.protocol == packet::kIcmpV6 && quoted.icmp_type == kReplyV6;
}

}  // namespace zks::vpn
