// SPDX-License-Identifier: MIT
//
// The name server at the tunnel's own DNS addresses: every query, over UDP or TCP, is carried to the exit's
// resolver, and its answer back.
//
// Memory: kMaxQueries of at most session::kMaxDnsQuery bytes at once; more are dropped over UDP, and wait
// over TCP, where kMaxConnections are served.
//
// Executor: the opener's. Lifetime: shared.
#pragma once

#include <functional>
#include <memory>

#include "frontdoor/crowd.hpp"
#include "packet/build.hpp"
#include "tunnel/stream.hpp"
#include "vpn/gate_status.hpp"

namespace zks::vpn {

namespace asio = boost::asio;

class DnsGate : public std::enable_shared_from_this<DnsGate> {
 public:
  static constexpr std::size_t kMaxQueries = 256;
  static constexpr std::size_t kMaxConnections = 64;
  using Send = std::function<void(const packet::Endpoint& from, const packet::Endpoint& to, ByteView)>;

  DnsGate(std::shared_ptr<tunnel::StreamOpener> opener, Send send);

  void take(const packet::Endpoint& client, const packet::Endpoint& server, ByteView query);
  // DNS over TCP (RFC 1035, section 4.2.2; RFC 7766): one query after the other.
  void serve(std::shared_ptr<frontdoor::Connection> connection);
  void stop();

  const DnsCounters& counters() const { return counters_; }

 private:
  static asio::awaitable<void> answer(std::shared_ptr<DnsGate> self, packet::Endpoint client,
                                      packet::Endpoint server, Bytes query);
  static asio::awaitable<void> converse(std::shared_ptr<DnsGate> self,
                                        std::shared_ptr<frontdoor::Connection> connection);
  asio::awaitable<Bytes> ask(Bytes query);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  Send send_;
  frontdoor::Crowd connections_{kMaxConnections};
  std::size_t asking_ = 0;
  DnsCounters counters_;
  bool stopped_ = false;
};

}  // namespace zks::vpn
