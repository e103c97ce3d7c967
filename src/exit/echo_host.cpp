// SPDX-License-Identifier: MIT
#include "exit/echo_host.hpp"

#include <cerrno>

namespace zks::exit {

void EchoHost::start() {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    auto opened = PingSocket::open(executor_, family);
    if (!opened) continue;
    side(family).socket.emplace(std::move(*opened));
    watch(family);
  }
}

void EchoHost::forget_old() {
  const TimePoint now = std::chrono::steady_clock::now();
  for (Side* of : {&ipv4_, &ipv6_}) forget_old(*of, now);
}

EchoHost::Answered EchoHost::Side::take(std::unordered_map<std::uint16_t, Ping>::iterator ping) {
  Answered answered = std::move(ping->second.answered);
  shares.remove(ping->second.sender);
  order.erase(ping->second.turn);
  pings.erase(ping);
  return answered;
}

int EchoHost::ping(const IpAddress& target, std::uint8_t hop_limit, ByteView data, Sender sender,
                   Answered answered) {
  Side& to = side(target.family);
  if (!to.socket) return EAFNOSUPPORT;
  const TimePoint now = std::chrono::steady_clock::now();
  forget_old(to, now);
  if (!to.shares.leave_enough(sender, kMaxPings)) return EAGAIN;
  std::uint16_t sequence = 0;
  do {
    const auto random = random_array<2>();
    sequence = load_be<std::uint16_t>(random.data());
  } while (to.pings.contains(sequence));  // at most one in sixteen is taken
  if (const int failure = to.socket->send(target, hop_limit, sequence, data); failure != 0) return failure;
  const auto turn = to.order.insert(to.order.end(), sequence);
  to.pings.emplace(sequence, Ping{target, std::move(answered), now, turn, sender});
  to.shares.add(sender);
  return 0;
}

void EchoHost::forget_old(Side& side, TimePoint now) {
  while (!side.order.empty()) {
    const auto at = side.pings.find(side.order.front());
    if (now - at->second.sent_at < kPingWithin) return;
    (void)side.take(at);
  }
}

// Also called for what waits in the error queue.
void EchoHost::watch(Family family) {
  side(family).socket->descriptor().async_wait(
      boost::asio::posix::stream_descriptor::wait_read,
      [weak = weak_from_this(), family](const boost::system::error_code& ec) {
        const auto self = weak.lock();
        if (!ec && self) self->on_ready(family);
      });
}

void EchoHost::on_ready(Family family) {
  Side& of = side(family);
  of.socket->receive(buffer_, [&of](const PingSocket::Answer& answer) {
    const auto at = of.pings.find(answer.sequence);
    if (at == of.pings.end() || at->second.target != answer.target) return;
    of.take(at)(answer);
  });
  watch(family);
}

}  // namespace zks::exit
