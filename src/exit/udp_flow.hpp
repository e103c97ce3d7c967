// SPDX-License-Identifier: MIT
//
// The exit's side of flows: a datagram from the tunnel is resolved (guest_resolver.hpp), judged
// (udp_peers.hpp) and sent (udp_socket.hpp); one from a socket is judged and goes into the tunnel. UdpHost
// makes a UdpFlow for each flow of every session.
//
// What an invite may use (allowance.hpp) counts for each datagram: beyond its rate or quota they are dropped.
//
// Bounds: UdpOptions::max_flows at once; of a flow two sockets, UdpPeers::kMaxPeers addresses, kMaxNames
// names and kMaxWaiting datagrams that wait for a lookup. A flow ends when the client sent nothing for
// idle_timeout; what comes in does not prolong it, so that strangers can't (RFC 4787, REQ-5 and REQ-6).
//
// Executor: the exit's. Lifetime: a UdpFlow lives as long as its flow is open.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "exit/allowance.hpp"
#include "exit/guest_resolver.hpp"
#include "exit/guest_shares.hpp"
#include "exit/udp_peers.hpp"
#include "exit/udp_socket.hpp"
#include "tunnel/flow.hpp"

namespace zks::exit {

struct UdpOptions {
  std::chrono::milliseconds idle_timeout{120'000};
  std::chrono::milliseconds dns_idle_timeout{10'000};  // while nothing but port 53 was talked to
  // Of all sessions together; of them each invite and device has a share (guest_shares.hpp).
  std::size_t max_flows = 4096;
  bool log_destinations = false;
};

class UdpHost : public std::enable_shared_from_this<UdpHost> {
 public:
  UdpHost(asio::any_io_executor executor, std::shared_ptr<GuestResolver> resolver, UdpOptions options)
      : executor_(std::move(executor)), resolver_(std::move(resolver)), options_(options) {}

  // Beyond max_flows, or its guest's share of them, the flow is dropped, which closes it.
  void serve(tunnel::SessionFlowPtr flow, std::shared_ptr<Allowance> allowance, tunnel::Claim guest = {});
  void set_options(const UdpOptions& options) { options_ = options; }  // a flow's timer follows
  std::size_t flows() const { return flows_.total(); }
  std::uint64_t refused() const { return refused_; }  // destinations, each time that the policy was asked
  // Where all sockets of this exit read to.
  std::shared_ptr<UdpBuffers> buffers();

 private:
  friend class UdpFlow;
  asio::any_io_executor executor_;
  std::shared_ptr<GuestResolver> resolver_;
  UdpOptions options_;
  std::shared_ptr<UdpBuffers> buffers_;  // once there is a socket
  GuestShares flows_;
  std::uint64_t refused_ = 0;
};

class UdpFlow : public std::enable_shared_from_this<UdpFlow> {
 public:
  static constexpr std::size_t kMaxNames = 32;
  static constexpr std::size_t kMaxWaiting = 16;  // datagrams, of all names together

  UdpFlow(std::shared_ptr<UdpHost> host, tunnel::SessionFlowPtr flow, std::shared_ptr<Allowance> allowance,
          tunnel::Claim guest);
  ~UdpFlow();
  UdpFlow(const UdpFlow&) = delete;
  UdpFlow& operator=(const UdpFlow&) = delete;

  void start();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Family = IpAddress::Family;

  struct Name {
    bool looking = false;
    std::vector<IpAddress> addresses;
    TimePoint until{};  // when it is looked up again
    std::deque<std::pair<std::uint16_t, Bytes>> waiting;
  };

  void stop();
  void on_datagram(const session::Destination& to, ByteView bytes);
  void send_to_name(const session::Destination& to, ByteView bytes);
  void send_by_name(const std::string& spelled, const Name& name, std::uint16_t port, ByteView bytes);
  Name* find_name(const std::string& spelled, TimePoint now);
  static asio::awaitable<void> look_up(std::shared_ptr<UdpFlow> self, std::string spelled);
  // False when the policy refuses the address or there is no way to it.
  bool send_to(const std::string& name, const IpAddress& address, std::uint16_t port, ByteView bytes);
  void refuse(const session::Destination& to, const std::string& reason);
  UdpSocket* socket_for(Family family);
  void watch(Family family);
  void on_ready(Family family);
  void on_received(const IpAddress& from, std::uint16_t port, ByteView bytes);
  void sent(std::uint16_t port);
  std::chrono::milliseconds idle_timeout() const;
  void arm();

  std::shared_ptr<UdpHost> host_;
  tunnel::SessionFlowPtr flow_;
  std::shared_ptr<Allowance> allowance_;  // its invite's
  tunnel::Claim guest_;
  UdpPeers peers_;
  std::optional<UdpSocket> ipv4_;
  std::optional<UdpSocket> ipv6_;
  std::map<std::string, Name> names_;
  std::size_t waiting_ = 0;
  bool only_dns_ = true;
  bool stopped_ = false;
  TimePoint last_sent_;
  asio::steady_timer idle_;
};

}  // namespace zks::exit
