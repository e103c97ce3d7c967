// SPDX-License-Identifier: MIT
//
// The front door for whole machines: takes the packets that the TUN device has, and writes those that it
// shall have. TCP goes by the kernel (tcp_gate.hpp), UDP by flows (udp_gate.hpp), name service to the exit's
// resolver (dns_gate.hpp), echo requests to the exit, which pings (echo_gate.hpp), ICMP errors to who sent
// what they are about (error_gate.hpp). Everything else is answered as unreachable. The tunnel is a router: a
// packet whose hop limit ends here is answered so. What is malformed is dropped and counted.
//
// Executor: the opener's. Lifetime: shared; stop() ends it.
#pragma once

#include <array>
#include <memory>

#include "packet/reassembly.hpp"
#include "vpn/device_port.hpp"
#include "vpn/dns_gate.hpp"
#include "vpn/echo_gate.hpp"
#include "vpn/error_gate.hpp"
#include "vpn/gate_status.hpp"
#include "vpn/private_namespace.hpp"
#include "vpn/tcp_gate.hpp"
#include "vpn/udp_gate.hpp"

namespace zks::vpn {

struct GateOptions {
  IpAddress dns_ipv4;
  IpAddress dns_ipv6;
  std::size_t mtu = 1500;
  TcpGate::Options tcp;
  UdpGate::Options udp;
};

// What the packets come from and go to.
struct Devices {
  Fd tun;
  PrivateNamespace inner;
};

class Gate : public std::enable_shared_from_this<Gate> {
 public:
  Gate(std::shared_ptr<tunnel::StreamOpener> opener, Devices devices, GateOptions options);
  void start();
  // No new connections; those that there are get until `deadline`.
  asio::awaitable<void> stop(std::chrono::steady_clock::time_point deadline);
  GateStatus status() const;

 private:
  void on_frame(ByteView frame);
  void on_packet(ByteView frame, const packet::VirtioHeader& offload, const packet::Packet& packet);
  void on_fragment(const packet::Packet& packet);
  void on_udp(const packet::VirtioHeader& offload, const packet::Packet& packet);
  void on_icmp(ByteView frame, const packet::Packet& packet);
  void answer(const packet::Packet& packet, const packet::IcmpMessage& message);
  // From the tunnel's own address, or in the name of `from`.
  void say(const packet::Packet& packet, const packet::IcmpMessage& message, std::optional<IpAddress> from);
  Answers answers();
  ErrorGate::Ways error_ways();
  void drop(packet::Malformed reason);
  void to_host(ByteView packet);
  void send(const packet::Message& message);
  bool is_own(const IpAddress& address) const;
  bool exit_lacks(const IpAddress& address) const;

  std::shared_ptr<tunnel::StreamOpener> opener_;
  GateOptions options_;
  DevicePort host_;
  DevicePort kernel_;
  std::shared_ptr<TcpGate> tcp_;
  PathMtus mtus_;
  UdpGate udp_;
  std::shared_ptr<DnsGate> dns_;
  std::shared_ptr<EchoGate> echo_;
  ErrorGate errors_;
  std::array<std::shared_ptr<net::AcceptLoop>, 2> listeners_;
  packet::Reassembler reassembler_;
  MalformedCounters malformed_{};
  std::uint64_t unreachable_ = 0;
  std::uint64_t expired_ = 0;
  std::uint32_t next_id_ = 0;
  Bytes frame_;   // what to_host() writes: the header of zeros, and a packet
  Bytes buffer_;  // packets made here
};

}  // namespace zks::vpn
