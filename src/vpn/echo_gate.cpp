// SPDX-License-Identifier: MIT
#include "vpn/echo_gate.hpp"

#include "base/log.hpp"
#include "vpn/addresses.hpp"

namespace zks::vpn {

void EchoGate::take(const packet::Packet& packet, const packet::Echo& request) {
  ++counters_.asked;
  const std::uint8_t hops = packet.hop_limit > 1 ? packet.hop_limit - 1 : 1;  // the tunnel is one (gate.cpp)
  const tunnel::EchoRequest asked{to_destination({packet.target, 0}), hops, request.data};
  auto copy = std::make_shared<const Bytes>(packet.whole.begin(), packet.whole.end());
  const auto handler = [weak = weak_from_this(), copy](const tunnel::EchoAnswer& answer) {
    if (const auto self = weak.lock()) self->deliver(*copy, answer);
  };
  const auto sent = opener_->echo(asked, handler);
  if (sent) return;
  ++counters_.dropped;
  if (sent.error().kind == ErrorKind::kRefused || sent.error().kind == ErrorKind::kLimit) refuse(packet);
}

void EchoGate::refuse(const packet::Packet& request) {
  answers_.say(request, packet::unreachable(request.is_ipv4(), packet::Unreachable::kProhibited),
               std::nullopt);
}

void EchoGate::deliver(ByteView request, const tunnel::EchoAnswer& answer) {
  const auto packet = packet::parse(request);
  const auto from = to_endpoint(answer.from);
  if (!packet || !from) return;
  if (answer.said == tunnel::kEchoNotSent) {
    if (++counters_.limited == 1) {
      log::warn(
          "more pings than the exit sends for one client; those are answered as prohibited, by the tunnel");
    }
    return refuse(*packet);
  }
  ++counters_.answered;
  if (answer.is_reply()) return deliver_reply(*packet, from->address, answer);
  if (is_too_big(from->address, answer.said)) return;
  std::optional<IpAddress> said_by = from->address;
  // A host says this of others; of itself it is the exit's word.
  if (from->address == packet->target && is_of_a_router(from->address, answer.said)) said_by.reset();
  if (from->address.family != packet->target.family) return;
  answers_.say(*packet, {answer.said.type, answer.said.code, 0}, said_by);
}

void EchoGate::deliver_reply(const packet::Packet& request, const IpAddress& from,
                             const tunnel::EchoAnswer& answer) {
  auto echo = packet::parse_echo(request);
  if (!echo) return;
  echo->data = answer.data;  // as it came back
  auto reply = packet::echo_reply(from, request.source, *echo);
  if (!reply) return;
  if (answer.hop_limit > 0) reply->hop_limit = answer.hop_limit;
  answers_.send(*reply);
}

}  // namespace zks::vpn
