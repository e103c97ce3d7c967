// SPDX-License-Identifier: MIT
//
// Pings of all sessions through one socket a family (ping_socket.hpp): the sequence number, random and not
// used twice at a time, says whose an answer is. Before it: session_requests.hpp.
//
// Bounds: kMaxPings of a family at once, of which each invite and device has a share (guest_shares.hpp); one
// more is not sent. One that got no answer is forgotten after kPingWithin.
//
// Executor: the exit's. Lifetime: shared.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <unordered_map>

#include "exit/guest_shares.hpp"
#include "exit/ping_socket.hpp"

namespace zks::exit {

class EchoHost : public std::enable_shared_from_this<EchoHost> {
 public:
  static constexpr std::size_t kMaxPings = 4096;
  static constexpr auto kPingWithin = std::chrono::seconds(10);

  using Family = IpAddress::Family;
  using Answered = std::function<void(const PingSocket::Answer&)>;

  explicit EchoHost(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // Opens the sockets; a family without one can't be pinged.
  void start();
  bool can_ping(Family family) const { return side(family).socket.has_value(); }
  // Those that got no answer within kPingWithin; ping() does it, too.
  void forget_old();
  using Sender = tunnel::Claim;  // whose share of the pings it is
  // 0, or an errno; EAGAIN beyond the bound. `answered` is called at most once.
  int ping(const IpAddress& target, std::uint8_t hop_limit, ByteView data, Sender sender, Answered answered);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Ping {
    IpAddress target;
    Answered answered;
    TimePoint sent_at;
    std::list<std::uint16_t>::iterator turn;  // in Side::order
    Sender sender;
  };
  struct Side {
    std::optional<PingSocket> socket;
    std::unordered_map<std::uint16_t, Ping> pings;  // by sequence number, which is random
    std::list<std::uint16_t> order;                 // the oldest first
    GuestShares shares;

    // It is over; what waited for its answer.
    Answered take(std::unordered_map<std::uint16_t, Ping>::iterator ping);
  };

  Side& side(Family family) { return family == Family::kIpv4 ? ipv4_ : ipv6_; }
  const Side& side(Family family) const { return family == Family::kIpv4 ? ipv4_ : ipv6_; }
  void watch(Family family);
  void on_ready(Family family);
  static void forget_old(Side& side, TimePoint now);

  boost::asio::any_io_executor executor_;
  Side ipv4_;
  Side ipv6_;
  Bytes buffer_ = Bytes(64 * 1024);
};

}  // namespace zks::exit
