// SPDX-License-Identifier: MIT
//
// The name server at the tunnel's own DNS addresses: every query, over UDP or TCP, is carried to the exit's
// resolver, and its answer back as it is. What is no query with one question is answered here (RFC 9619).
//
// Memory: kMaxQueries of at most session::kMaxDnsQuery bytes at once, one more is answered with SERVFAIL;
// kMaxConnections, each with kMaxPipelined queries whose answers are not written yet, while more wait in the
// kernel.
//
// Executor: the opener's. Lifetime: shared.
#pragma once

#include <functional>
#include <memory>

#include "packet/build.hpp"
#include "tunnel/connection_set.hpp"
#include "tunnel/stream.hpp"
#include "vpn/gate_status.hpp"

namespace zks::vpn {

namespace asio = boost::asio;

class DnsGate : public std::enable_shared_from_this<DnsGate> {
 public:
  static constexpr std::size_t kMaxQueries = 256;
  static constexpr std::size_t kMaxConnections = 64;
  static constexpr std::size_t kMaxPipelined = 16;
  using Send = std::function<void(const packet::Endpoint& from, const packet::Endpoint& to, ByteView)>;

  DnsGate(std::shared_ptr<tunnel::StreamOpener> opener, Send send);

  void take(const packet::Endpoint& client, const packet::Endpoint& server, ByteView query);
  // DNS over TCP (RFC 1035, section 4.2.2): many queries at once, each answered when its answer is there (RFC
  // 7766, sections 6.2.1.1 and 7). After 30 s without a query that is whole or an answer that was taken it is
  // ended.
  void serve(std::shared_ptr<tunnel::Connection> connection);
  void stop();

  const DnsCounters& counters() const { return counters_; }

 private:
  struct Conversation;
  class UnderWay;
  struct Writing;
  struct Query;

  static asio::awaitable<void> answer(std::shared_ptr<DnsGate> self, packet::Endpoint client,
                                      packet::Endpoint server, Bytes query);
  static asio::awaitable<void> converse(std::shared_ptr<DnsGate> self, std::shared_ptr<Conversation> with);
  static asio::awaitable<bool> read_query(std::shared_ptr<Conversation> with);
  static asio::awaitable<void> answer_in(std::shared_ptr<DnsGate> self, Query query);
  static asio::awaitable<void> write_answers(std::shared_ptr<Conversation> with);
  asio::awaitable<Bytes> ask(Bytes query);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  Send send_;
  tunnel::ConnectionSet connections_{kMaxConnections};
  std::size_t asking_ = 0;
  DnsCounters counters_;
  bool stopped_ = false;
};

}  // namespace zks::vpn
