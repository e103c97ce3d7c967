// SPDX-License-Identifier: MIT
#include "vpn/gate.hpp"

#include "base/log.hpp"
#include "base/port.hpp"
#include "packet/udp_segments.hpp"
#include "vpn/addresses.hpp"

namespace zks::vpn {
namespace {

constexpr packet::IcmpMessage kNoProtocolV4{3, 2};  // RFC 792: protocol unreachable
constexpr packet::IcmpMessage kNoProtocolV6{4, 1};  // RFC 4443, section 3.4: unrecognised next header

net::Acceptor make_acceptor(const asio::any_io_executor& executor, Fd fd, const asio::ip::tcp& protocol) {
  return {executor, asio::generic::stream_protocol(protocol), fd.release()};
}

}  // namespace

Gate::Gate(std::shared_ptr<tunnel::StreamOpener> opener, Devices devices, GateOptions options)
    : opener_(std::move(opener)),
      options_(std::move(options)),
      host_(opener_->executor(), std::move(devices.tun), [this](MutableBytes frame) { on_frame(frame); }),
      kernel_(opener_->executor(), std::move(devices.inner.device.fd),
              [this](MutableBytes frame) { host_.write(frame); }),
      mtus_(options_.mtu),
      udp_(opener_, options_.udp, answers()),
      errors_(mtus_, error_ways()),
      frame_(kMaxFrameBytes),
      buffer_(packet::kMaxPacket) {
  const auto executor = opener_->executor();
  dns_ = std::make_shared<DnsGate>(
      opener_, [this](const packet::Endpoint& from, const packet::Endpoint& to, ByteView datagram) {
        if (const auto message = packet::udp_message(from, to, datagram)) send(*message);
      });
  echo_ = std::make_shared<EchoGate>(opener_, answers());
  TcpGate::Ways ways;
  ways.to_kernel = [this](ByteView frame) { kernel_.write(frame); };
  ways.to_host = [this](ByteView packet) { to_host(packet); };
  ways.answer = [this](const packet::Packet& packet, const packet::IcmpMessage& message) {
    answer(packet, message);
  };
  ways.is_served = [this](const packet::Endpoint& target) {
    return is_own(target.address) && target.port == kDnsPort;
  };
  ways.serve = [this](std::shared_ptr<tunnel::Connection> connection, const packet::Endpoint&) {
    dns_->serve(std::move(connection));
  };
  tcp_ = std::make_shared<TcpGate>(opener_, options_.tcp, std::move(ways));
  const auto admit = [this](tunnel::Socket socket) { tcp_->admit(std::move(socket)); };
  listeners_[0] = std::make_shared<net::AcceptLoop>(
      make_acceptor(executor, std::move(devices.inner.listener_ipv4), asio::ip::tcp::v4()), "the TUN device",
      admit);
  listeners_[1] = std::make_shared<net::AcceptLoop>(
      make_acceptor(executor, std::move(devices.inner.listener_ipv6), asio::ip::tcp::v6()), "the TUN device",
      admit);
}

Answers Gate::answers() {
  return {.send = [this](const packet::Message& message) { send(message); },
          .say = [this](const packet::Packet& packet, const packet::IcmpMessage& message,
                        std::optional<IpAddress> from) { say(packet, message, from); }};
}

ErrorGate::Ways Gate::error_ways() {
  return {.is_connection = [this](const Pair& pair) { return tcp_->knows(pair); },
          .is_flow = [this](const packet::Endpoint& source) { return udp_.has_flow(source); },
          .is_own = [this](const IpAddress& address) { return is_own(address); },
          .to_kernel = [this](ByteView frame) { kernel_.write(frame); }};
}

void Gate::start() {
  for (const auto& listener : listeners_) listener->start();
  host_.start();
  kernel_.start();
}

asio::awaitable<void> Gate::stop(std::chrono::steady_clock::time_point deadline) {
  const auto self = shared_from_this();
  co_await tcp_->stop(deadline);
  dns_->stop();
  for (const auto& listener : listeners_) listener->stop();
}

void Gate::on_frame(ByteView frame) {
  const auto offload = packet::decode_virtio_header(frame);
  if (!offload) return drop(packet::Malformed::kOffload);
  const auto packet = packet::parse(frame.subspan(packet::kVirtioHeader));
  if (!packet) return drop(packet.error());
  if (packet->fragment) return on_fragment(*packet);
  on_packet(frame, *offload, *packet);
}

void Gate::on_fragment(const packet::Packet& packet) {
  const auto whole = reassembler_.add(packet, std::chrono::steady_clock::now());
  if (!whole) return;
  const auto parsed = packet::parse(*whole);
  if (!parsed) return drop(parsed.error());
  if (parsed->protocol != packet::kTcp) return on_packet({}, {}, *parsed);
  Bytes frame(packet::kVirtioHeader);
  frame.insert(frame.end(), whole->begin(), whole->end());
  on_packet(frame, {}, *parsed);
}

void Gate::on_packet(ByteView frame, const packet::VirtioHeader& offload, const packet::Packet& packet) {
  if (is_multicast(packet.target)) return;  // of the kernel's own: MLD, router solicitations
  if (const auto fits = packet::check(offload, packet); !fits) return drop(fits.error());
  if (packet.hop_limit <= 1 && !is_own(packet.target)) {
    ++expired_;
    return say(packet, packet::time_exceeded(packet.is_ipv4()), std::nullopt);
  }
  if (exit_lacks(packet.target)) {
    return answer(packet, packet::unreachable(packet.is_ipv4(), packet::Unreachable::kNetwork));
  }
  switch (packet.protocol) {
    case packet::kTcp: {
      const auto segment = packet::parse_tcp(packet);
      return segment ? tcp_->take(frame, packet, *segment) : drop(segment.error());
    }
    case packet::kUdp:
      return on_udp(offload, packet);
    case packet::kIcmp:
    case packet::kIcmpV6:
      return on_icmp(frame, packet);
    default:
      return answer(packet, packet.is_ipv4() ? kNoProtocolV4 : kNoProtocolV6);
  }
}

void Gate::on_udp(const packet::VirtioHeader& offload, const packet::Packet& packet) {
  const auto udp = packet::parse_udp(packet, offload);
  if (!udp) return drop(udp.error());
  const packet::Endpoint source{packet.source, udp->source_port};
  const packet::Endpoint target{packet.target, udp->target_port};
  const auto nobody = packet::unreachable(packet.is_ipv4(), packet::Unreachable::kPort);
  if (is_own(target.address)) {
    return target.port == kDnsPort ? dns_->take(source, target, udp->data) : answer(packet, nobody);
  }
  packet::UdpSegments datagrams(udp->data, offload);
  while (const auto datagram = datagrams.next()) {
    if (!udp_.take(source, target, *datagram)) {
      return answer(packet, packet::unreachable(packet.is_ipv4(), packet::Unreachable::kProhibited));
    }
  }
}

void Gate::on_icmp(ByteView frame, const packet::Packet& packet) {
  const auto echo = packet::parse_echo(packet);
  if (!echo && echo.error() != packet::Malformed::kNotEcho) return drop(echo.error());
  if (!echo) {
    const auto error = packet::parse_icmp_error(packet);
    if (error) return errors_.take(frame, packet, *error);
    if (error.error() != packet::Malformed::kNotEcho) drop(error.error());
    return;  // replies to the exit's side, which asks nothing
  }
  if (is_own(packet.target)) {
    if (const auto reply = packet::echo_reply(packet.target, packet.source, *echo)) send(*reply);
    return;
  }
  echo_->take(packet, *echo);
}

void Gate::answer(const packet::Packet& packet, const packet::IcmpMessage& message) {
  ++unreachable_;
  say(packet, message, std::nullopt);
}

void Gate::say(const packet::Packet& packet, const packet::IcmpMessage& message,
               std::optional<IpAddress> from) {
  const IpAddress& own = packet.is_ipv4() ? options_.dns_ipv4 : options_.dns_ipv6;  // the router's, here
  const std::size_t size = packet::build_icmp_error(packet, message, from.value_or(own), buffer_);
  if (size > 0) to_host(ByteView(buffer_).first(size));
}

void Gate::drop(packet::Malformed reason) {
  const auto count = ++malformed_[static_cast<std::size_t>(reason)];
  if (count == 1) log::debug("a packet from the TUN device was dropped: {}", packet::describe(reason));
}

void Gate::send(const packet::Message& message) {
  const std::size_t mtu = mtus_.to(message.target, std::chrono::steady_clock::now());
  packet::Fragments packets(message, mtu, next_id_++);
  for (std::size_t size = packets.next(buffer_); size > 0; size = packets.next(buffer_)) {
    to_host(ByteView(buffer_).first(size));
  }
}

void Gate::to_host(ByteView packet) {
  if (packet.size() > packet::kMaxPacket) return;
  std::copy(packet.begin(), packet.end(), frame_.begin() + packet::kVirtioHeader);
  host_.write(ByteView(frame_).first(packet::kVirtioHeader + packet.size()));
}

bool Gate::is_own(const IpAddress& address) const {
  return address == options_.dns_ipv4 || address == options_.dns_ipv6;
}

bool Gate::exit_lacks(const IpAddress& address) const {
  if (address.is_ipv4() || is_own(address)) return false;
  const auto capabilities = opener_->exit_capabilities();
  return capabilities && !capabilities->ipv6;
}

GateStatus Gate::status() const {
  GateStatus out;
  out.connections = tcp_->connections();
  out.flows = udp_.flows();
  out.tcp = tcp_->counters();
  out.udp = udp_.counters();
  out.echo = echo_->counters();
  out.errors = errors_.counters();
  out.dns = dns_->counters();
  out.fragments = reassembler_.counters();
  out.malformed = malformed_;
  out.unreachable = unreachable_;
  out.expired = expired_;
  out.lost = host_.lost() + kernel_.lost();
  return out;
}

}  // namespace zks::vpn
