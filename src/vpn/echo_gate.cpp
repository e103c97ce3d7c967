// SPDX-License-Identifier: MIT
#include "vpn/echo_gate.hpp"

#include <array>

#include "vpn/addresses.hpp"

namespace zks::vpn {

void EchoGate::take(const packet::Packet& packet, const packet::Echo& request) {
  ++counters_.asked;
  const tunnel::EchoRequest asked{to_destination({packet.target, 0}), packet.hop_limit, request.data};
  auto copy = std::make_shared<const Bytes>(packet.whole.begin(), packet.whole.end());
  const auto handler = [weak = weak_from_this(), copy](const tunnel::EchoAnswer& answer) {
    if (const auto self = weak.lock()) self->deliver(*copy, answer);
  };
  if (!opener_->echo(asked, handler)) ++counters_.dropped;
}

void EchoGate::deliver(ByteView request, const tunnel::EchoAnswer& answer) {
  const auto packet = packet::parse(request);
  const auto from = to_endpoint(answer.from);
  if (!packet || !from) return;
  ++counters_.answered;
  if (answer.is_reply()) {
    auto echo = packet::parse_echo(*packet);
    if (!echo) return;
    echo->data = answer.data;  // as it came back
    auto reply = packet::echo_reply(from->address, packet->source, *echo);
    if (!reply) return;
    if (answer.hop_limit > 0) reply->hop_limit = answer.hop_limit;
    return send_(*reply);
  }
  if (is_too_big(from->address, answer.said)) return;
  std::array<std::uint8_t, packet::kMinMtuV6> out;
  const std::size_t size =
      packet::build_icmp_error(*packet, {answer.said.type, answer.said.code, 0}, from->address, out);
  if (size > 0) to_host_(ByteView(out).first(size));
}

}  // namespace zks::vpn
