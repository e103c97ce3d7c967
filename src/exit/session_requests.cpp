// SPDX-License-Identifier: MIT
#include "exit/session_requests.hpp"

#include <cerrno>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/udp.hpp>

#include "base/dns_message.hpp"
#include "base/log.hpp"
#include "base/port.hpp"
#include "exit/connect.hpp"
#include "net/endpoint.hpp"
#include "net/spawn.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using asio::ip::udp;
using session::Destination;
using session::IcmpError;
using std::chrono::steady_clock;
using tunnel::Meter;

constexpr auto kAnswerWithin = 10s;

Destination to_destination(const IpAddress& address) {
  return tunnel::make_destination(net::make_endpoint<udp>(address, 0));
}

// To a root server of DNS, as to any address of the internet, from an address that is more than the link's.
bool has_route(IpAddress::Family family) {
  const bool ipv4 = family == IpAddress::Family::kIpv4;
  const auto anywhere = parse_ip_address(ipv4 ? "198.41.0.4" : "2001:503:ba3e::2:30");
  asio::io_context unused;
  udp::socket socket(unused);
  boost::system::error_code ec;
  socket.open(ipv4 ? udp::v4() : udp::v6(), ec);
  if (!ec) socket.connect(net::make_endpoint<udp>(*anywhere, kDnsPort), ec);
  const auto local = ec ? udp::endpoint() : socket.local_endpoint(ec);
  if (ec || local.address().is_unspecified() || local.address().is_loopback()) return false;
  return ipv4 || !local.address().to_v6().is_link_local();
}

}  // namespace

session::ExitCapabilities find_capabilities(const EchoHost& echo) {
  return {.ipv4 = has_route(IpAddress::Family::kIpv4),
          .ipv6 = has_route(IpAddress::Family::kIpv6),
          .echo_ipv4 = echo.can_ping(IpAddress::Family::kIpv4),
          .echo_ipv6 = echo.can_ping(IpAddress::Family::kIpv6),
          .resolve = true};
}

SessionRequests::SessionRequests(std::shared_ptr<GuestResolver> resolver, std::shared_ptr<EchoHost> echo,
                                 std::shared_ptr<Allowance> allowance, std::weak_ptr<tunnel::Tunnel> tunnel,
                                 tunnel::Claim guest)
    : resolver_(std::move(resolver)),
      echo_(std::move(echo)),
      allowance_(std::move(allowance)),
      tunnel_(std::move(tunnel)),
      guest_(guest),
      pings_(kPingsASecond, kPingsAtOnce, steady_clock::now()) {}

void SessionRequests::on(session::ResolveEvent& event) {
  if (!allowance_->take_datagram(Meter::Direction::kUp, event.bytes.size())) return;
  resolve(event.request, std::move(event.bytes));
}

void SessionRequests::on(const session::EchoEvent& event) {
  if (!allowance_->take_datagram(Meter::Direction::kUp, event.bytes.size())) {
    return say(event.request, event.address, tunnel::kEchoNotSent);
  }
  ping(event);
}

void SessionRequests::resolve(session::RequestId request, Bytes query) {
  const auto tunnel = tunnel_.lock();
  const auto question = read_dns_query(query);
  if (!tunnel) return;
  if (!question) {
    if (const auto refusal = dns_refusal(query)) tunnel->resolved(request, *refusal);
    return;
  }
  if (allowance_->policy()->denied_by_name(question->name, 0)) {
    return tunnel->resolved(request, dns_failure(query, *question, DnsCode::kRefused, DnsReason::kBlocked));
  }
  if (queries_ >= kMaxQueries) {
    return tunnel->resolved(request, dns_failure(query, *question, DnsCode::kServFail, DnsReason::kOther));
  }
  net::Counted asking(shared_from_this(), queries_);
  asio::co_spawn(tunnel->executor(), answer(shared_from_this(), request, std::move(query), std::move(asking)),
                 net::RethrowFailure{});
}

asio::awaitable<void> SessionRequests::answer(std::shared_ptr<SessionRequests> self,
                                              session::RequestId request, Bytes query, net::Counted asking) {
  const auto answered =
      co_await self->resolver_->answer(std::move(query), steady_clock::now() + kAnswerWithin, self->guest_);
  asking.over();
  const auto tunnel = self->tunnel_.lock();
  if (!tunnel || !answered) co_return;
  if (!self->allowance_->take_datagram(Meter::Direction::kDown, answered->size())) co_return;
  tunnel->resolved(request, *answered);
}

void SessionRequests::ping(const session::EchoEvent& event) {
  const auto literal = literal_address(event.address);
  if (!literal) return;
  if (*waiting_ >= kMaxPings) echo_->forget_old();
  if (*waiting_ >= kMaxPings || !pings_.try_take(1, steady_clock::now())) {
    return say(event.request, event.address, tunnel::kEchoNotSent);
  }
  const IpAddress target = unmapped(*literal);
  const bool ipv4 = target.is_ipv4();
  const auto verdict = allowance_->policy()->judge("", target, 0);
  if (!verdict.allowed) {
    if (allowance_->may_log()) log::info("ping: {}", verdict.reason);
    return say(event.request, event.address, ipv4 ? IcmpError{3, 13} : IcmpError{1, 1});
  }
  const int failure =
      echo_->ping(target, event.hop_limit, event.bytes, guest_, on_answer(event.request, event.address));
  if (failure == EHOSTUNREACH)
    return say(event.request, event.address, ipv4 ? IcmpError{3, 1} : IcmpError{1, 3});
  if (failure == ENETUNREACH || failure == EADDRNOTAVAIL || failure == EAFNOSUPPORT) {
    return say(event.request, event.address, ipv4 ? IcmpError{3, 0} : IcmpError{1, 0});
  }
  if (failure != 0) say(event.request, event.address, tunnel::kEchoNotSent);  // the kernel's queue is full
}

EchoHost::Answered SessionRequests::on_answer(session::RequestId request, const Destination& asked) {
  return [weak = weak_from_this(), request, asked,
          waiting = std::make_shared<net::Counted>(waiting_, *waiting_)](const PingSocket::Answer& answer) {
    const auto self = weak.lock();
    const auto tunnel = self ? self->tunnel_.lock() : nullptr;
    if (!tunnel) return;
    if (!self->allowance_->take_datagram(Meter::Direction::kDown, answer.data.size())) {
      return self->say(request, asked, tunnel::kEchoNotSent);
    }
    // A small hop limit would make routers inside name themselves.
    const bool closed =
        answer.from != answer.target && !self->allowance_->policy()->judge("", answer.from, 0).allowed;
    const Destination from = closed ? asked : to_destination(answer.from);
    tunnel->echo_reply({request, from, answer.said, answer.hop_limit, answer.data});
  };
}

void SessionRequests::say(session::RequestId request, const Destination& from, IcmpError error) {
  if (const auto tunnel = tunnel_.lock()) tunnel->echo_reply({request, from, error, 0, {}});
}

}  // namespace zks::exit
