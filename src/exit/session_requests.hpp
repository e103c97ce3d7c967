// SPDX-License-Identifier: MIT
//
// The exit's side of requests (PROTOCOL.md, "Requests"): DNS messages of one session go to the exit's DNS
// servers (guest_resolver.hpp), pings to the network (echo_host.hpp), if the policy and the invite's limits
// (allowance.hpp) allow them.
//
// Bounds: kMaxQueries outstanding, one more is answered with SERVFAIL; kPingsASecond after kPingsAtOnce, and
// kMaxPings without an answer. Who asks for more pings hears that they were not sent, as for those that are
// beyond the invite's limits.
//
// Executor: the exit's. Lifetime: shared; what is under way holds it.
#pragma once

#include <memory>

#include "base/token_bucket.hpp"
#include "exit/allowance.hpp"
#include "exit/echo_host.hpp"
#include "exit/guest_resolver.hpp"
#include "net/counted.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::exit {

namespace asio = boost::asio;

// What this machine can do, as WELCOME says it: whether it has a route to the internet is asked of the
// kernel, by a UDP socket that is connected and sends nothing.
session::ExitCapabilities find_capabilities(const EchoHost& echo);

class SessionRequests : public std::enable_shared_from_this<SessionRequests> {
 public:
  static constexpr std::size_t kMaxQueries = 256;
  static constexpr double kPingsASecond = 500;
  static constexpr double kPingsAtOnce = 500;
  static constexpr std::size_t kMaxPings = 512;  // an eighth of all: EchoHost::kMaxPings

  SessionRequests(std::shared_ptr<GuestResolver> resolver, std::shared_ptr<EchoHost> echo,
                  std::shared_ptr<Allowance> allowance, std::weak_ptr<tunnel::Tunnel> tunnel,
                  tunnel::Claim guest = {});

  void on(session::ResolveEvent& event);
  void on(const session::EchoEvent& event);

 private:
  void resolve(session::RequestId request, Bytes query);
  static asio::awaitable<void> answer(std::shared_ptr<SessionRequests> self, session::RequestId request,
                                      Bytes query, net::Counted asking);
  void ping(const session::EchoEvent& event);
  EchoHost::Answered on_answer(session::RequestId request, const session::Destination& asked);
  void say(session::RequestId request, const session::Destination& from, session::IcmpError error);

  std::shared_ptr<GuestResolver> resolver_;
  std::shared_ptr<EchoHost> echo_;
  std::shared_ptr<Allowance> allowance_;  // its invite's
  std::weak_ptr<tunnel::Tunnel> tunnel_;
  tunnel::Claim guest_;
  std::size_t queries_ = 0;
  TokenBucket pings_;
  std::shared_ptr<std::size_t> waiting_ = std::make_shared<std::size_t>(0);  // pings that have no answer yet
};

}  // namespace zks::exit
