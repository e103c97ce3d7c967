// SPDX-License-Identifier: MIT
#include "exit/udp_flow.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "base/log.hpp"
#include "base/port.hpp"
#include "exit/connect.hpp"
#include "net/endpoint.hpp"
#include "net/spawn.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using session::Destination;
using session::IcmpError;
using std::chrono::steady_clock;

constexpr auto kNameKept = 60s;
constexpr auto kFailureKept = 5s;
constexpr auto kLookupWithin = 5s;

enum class Unreachable { kNetwork, kHost, kProhibited };

// RFC 792 and RFC 1812, section 5.2.7.1; RFC 4443, section 3.1.
IcmpError icmp_error(const Destination& to, Unreachable why) {
  const bool ipv6 = to.kind == Destination::Kind::kIpv6;
  switch (why) {
    case Unreachable::kNetwork:
      return ipv6 ? IcmpError{1, 0} : IcmpError{3, 0};
    case Unreachable::kHost:
      return ipv6 ? IcmpError{1, 3} : IcmpError{3, 1};
    case Unreachable::kProhibited:
      break;
  }
  return ipv6 ? IcmpError{1, 1} : IcmpError{3, 13};
}

Destination to_destination(const IpAddress& address, std::uint16_t port) {
  return tunnel::make_destination(net::make_endpoint<asio::ip::udp>(address, port));
}

}  // namespace

void UdpHost::serve(tunnel::SessionFlowPtr flow, std::shared_ptr<Allowance> allowance, tunnel::Claim guest) {
  if (!flows_.leave_enough(guest, options_.max_flows)) return;
  (void)buffers();
  std::make_shared<UdpFlow>(shared_from_this(), std::move(flow), std::move(allowance), guest)->start();
}

std::shared_ptr<UdpBuffers> UdpHost::buffers() {
  if (!buffers_) buffers_ = std::make_shared<UdpBuffers>();
  return buffers_;
}

UdpFlow::UdpFlow(std::shared_ptr<UdpHost> host, tunnel::SessionFlowPtr flow,
                 std::shared_ptr<Allowance> allowance, tunnel::Claim guest)
    : host_(std::move(host)),
      flow_(std::move(flow)),
      allowance_(std::move(allowance)),
      guest_(guest),
      peers_(allowance_->policy()),
      last_sent_(steady_clock::now()),
      idle_(host_->executor_) {
  host_->flows_.add(guest_);
}

UdpFlow::~UdpFlow() {
  host_->flows_.remove(guest_);
}

// The flow's handlers hold this object until the flow is closed.
void UdpFlow::start() {
  tunnel::FlowHandlers handlers;
  handlers.on_datagram = [self = shared_from_this()](const Destination& to, ByteView bytes) {
    self->on_datagram(to, bytes);
  };
  handlers.on_closed = [self = shared_from_this()] { self->stop(); };
  flow_->handle(std::move(handlers));
  arm();
}

void UdpFlow::stop() {
  stopped_ = true;
  idle_.cancel();
  boost::system::error_code ignored;
  for (auto* socket : {&ipv4_, &ipv6_}) {
    if (*socket) (*socket)->socket().close(ignored);
  }
}

void UdpFlow::on_datagram(const Destination& to, ByteView bytes) {
  if (to.port == 0) return;
  const auto literal = literal_address(to);
  if (!literal) return send_to_name(to, bytes);
  send_to("", unmapped(*literal), to.port, bytes);
}

void UdpFlow::send_to_name(const Destination& to, ByteView bytes) {
  if (const auto denied = allowance_->policy()->denied_by_name(to.name, to.port))
    return refuse(to, denied->reason);
  const TimePoint now = steady_clock::now();
  Name* name = find_name(normalise_name(to.name), now);
  if (name == nullptr) return;
  if (now < name->until) return send_by_name(normalise_name(to.name), *name, to.port, bytes);
  if (!name->looking && !allowance_->take_datagram(tunnel::Meter::Direction::kUp, 0)) return;
  if (waiting_ < kMaxWaiting) {
    name->waiting.emplace_back(to.port, Bytes(bytes.begin(), bytes.end()));
    ++waiting_;
  }
  if (std::exchange(name->looking, true)) return;
  asio::co_spawn(host_->executor_, look_up(shared_from_this(), normalise_name(to.name)),
                 net::RethrowFailure{});
}

// The one that is due first makes room, unless all are being looked up: then there is none.
UdpFlow::Name* UdpFlow::find_name(const std::string& spelled, TimePoint now) {
  const auto at = names_.find(spelled);
  if (at != names_.end()) return &at->second;
  if (names_.size() >= kMaxNames) {
    const auto sooner = [](const auto& a, const auto& b) {
      return std::pair(a.second.looking, a.second.until) < std::pair(b.second.looking, b.second.until);
    };
    const auto first = std::min_element(names_.begin(), names_.end(), sooner);
    if (first->second.looking) return nullptr;
    names_.erase(first);
  }
  Name& name = names_[spelled];
  name.until = now;
  return &name;
}

asio::awaitable<void> UdpFlow::look_up(std::shared_ptr<UdpFlow> self, std::string spelled) {
  std::string wanted = spelled;
  Resolution resolution = co_await self->host_->resolver_->resolve(
      std::move(wanted), steady_clock::now() + kLookupWithin, self->guest_);
  if (self->stopped_) co_return;
  Name& name = self->names_[spelled];
  name.looking = false;
  name.addresses = std::move(resolution.addresses);
  name.until =
      steady_clock::now() + (name.addresses.empty() ? std::chrono::seconds(kFailureKept) : kNameKept);
  const auto waiting = std::exchange(name.waiting, {});
  self->waiting_ -= waiting.size();
  const Name found = name;
  for (const auto& [port, bytes] : waiting) self->send_by_name(spelled, found, port, bytes);
}

// To the first address that the policy allows and that this machine has a way to: always the same one while
// the answer is kept, so that the other end sees one peer.
void UdpFlow::send_by_name(const std::string& spelled, const Name& name, std::uint16_t port, ByteView bytes) {
  for (const IpAddress& address : name.addresses) {
    if (send_to(spelled, unmapped(address), port, bytes)) return;
  }
  if (!name.addresses.empty()) return;
  Destination to;
  to.name = spelled;
  to.port = port;
  flow_->send_error(to, icmp_error(to, Unreachable::kHost));
}

bool UdpFlow::send_to(const std::string& name, const IpAddress& address, std::uint16_t port, ByteView bytes) {
  const auto answer = peers_.outbound(name, address, port, steady_clock::now());
  const Destination to = to_destination(address, port);
  if (!answer.allowed) {
    if (answer.judged) refuse(to, answer.reason);
    return false;
  }
  if (!allowance_->take_datagram(tunnel::Meter::Direction::kUp, bytes.size())) return true;  // and it is lost
  UdpSocket* socket = socket_for(address.family);
  const int failure = socket == nullptr ? ENETUNREACH : socket->send(address, port, bytes);
  if (failure == ENETUNREACH || failure == EHOSTUNREACH || failure == EADDRNOTAVAIL) {
    const auto why = failure == EHOSTUNREACH ? Unreachable::kHost : Unreachable::kNetwork;
    flow_->send_error(to, icmp_error(to, why));
    return false;
  }
  sent(port);  // also what the kernel could not take: the client is there
  return true;
}

void UdpFlow::refuse(const Destination& to, const std::string& reason) {
  ++host_->refused_;
  flow_->send_error(to, icmp_error(to, Unreachable::kProhibited));
  if (!allowance_->may_log()) return;
  const std::string where = host_->options_.log_destinations ? " to " + session::to_text(to) : "";
  log::info("datagram{}: {}", where, reason);
}

UdpSocket* UdpFlow::socket_for(Family family) {
  auto& socket = family == Family::kIpv4 ? ipv4_ : ipv6_;
  if (socket) return &*socket;
  auto opened = UdpSocket::open(host_->executor_, family);
  if (!opened) {
    if (allowance_->may_log()) log::warn("{}", opened.error().text);
    return nullptr;
  }
  socket.emplace(std::move(*opened));
  watch(family);
  return &*socket;
}

// Also called for what waits in the error queue.
void UdpFlow::watch(Family family) {
  auto& socket = family == Family::kIpv4 ? ipv4_ : ipv6_;
  socket->socket().async_wait(asio::ip::udp::socket::wait_read,
                              [weak = weak_from_this(), family](const boost::system::error_code& ec) {
                                const auto self = weak.lock();
                                if (!ec && self && !self->stopped_) self->on_ready(family);
                              });
}

void UdpFlow::on_ready(Family family) {
  UdpSocket& socket = *(family == Family::kIpv4 ? ipv4_ : ipv6_);
  while (const auto complaint = socket.next_complaint()) {
    flow_->send_error(to_destination(unmapped(complaint->address), complaint->port), complaint->error);
  }
  const auto received = [this](const IpAddress& from, std::uint16_t port, ByteView bytes) {
    on_received(unmapped(from), port, bytes);
  };
  for (int i = 0; i < kBatchesATurn && !stopped_; ++i) {
    if (socket.receive(*host_->buffers_, received) < UdpBuffers::kDatagrams) break;
  }
  if (!stopped_) watch(family);
}

void UdpFlow::on_received(const IpAddress& from, std::uint16_t port, ByteView bytes) {
  const auto answer = peers_.inbound(from, port, steady_clock::now());
  if (answer.allowed) {
    if (!allowance_->take_datagram(tunnel::Meter::Direction::kDown, bytes.size())) return;
    flow_->send(to_destination(from, port), bytes);
  } else if (answer.judged && allowance_->may_log()) {
    const bool named = host_->options_.log_destinations;
    log::info("datagram{}: {}", named ? " from " + session::to_text(to_destination(from, port)) : "",
              answer.reason);
  }
}

void UdpFlow::sent(std::uint16_t port) {
  only_dns_ = only_dns_ && port == kDnsPort;
  last_sent_ = steady_clock::now();
  if (last_sent_ + idle_timeout() < idle_.expiry()) arm();
}

std::chrono::milliseconds UdpFlow::idle_timeout() const {
  const auto& options = host_->options_;
  return only_dns_ ? std::min(options.dns_idle_timeout, options.idle_timeout) : options.idle_timeout;
}

void UdpFlow::arm() {
  idle_.expires_at(last_sent_ + idle_timeout());
  idle_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->stopped_) return;
    if (steady_clock::now() < self->last_sent_ + self->idle_timeout()) return self->arm();
    self->flow_->close();
  });
}

}  // namespace zks::exit
