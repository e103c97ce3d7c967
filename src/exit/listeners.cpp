// SPDX-License-Identifier: MIT
#include "exit/listeners.hpp"

#include <cerrno>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "net/endpoint.hpp"
#include "net/spawn.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::ResetCode;

constexpr std::size_t kMostTries = 256;  // of free ports

Listeners::Endpoint endpoint_of(const session::ListenEvent& event) {
  return {event.kind, tunnel::make_endpoint<tcp>(event.address).address(), event.address.port};
}

IpAddress ip_address(const asio::ip::address& address) {
  return address.is_v6() ? make_ipv6(address.to_v6().to_bytes().data())
                         : make_ipv4(address.to_v4().to_bytes().data());
}

std::string text(const Listeners::Endpoint& endpoint) {
  const std::string kind = endpoint.kind == session::ListenKind::kUdp ? "/udp" : "";
  return format_host_port(endpoint.address.to_string(), endpoint.port) + kind;
}

// Whoever connected sees RST.
void reset(tunnel::Socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

ResetCode refusal(const Error& error) {
  if (error.kind == ErrorKind::kRefused) return ResetCode::kNotAllowed;
  return tunnel::reset_code_of(error_code(error.detail, boost::system::system_category()));
}

}  // namespace

// One connection that the client has not answered. Its listener accepts no more while there are too many.
class Listeners::Pending {
 public:
  explicit Pending(EntryPtr entry) : entry_(std::move(entry)) {
    if (++entry_->pending >= kMaxPending) entry_->loop->pause();
  }
  ~Pending() { over(); }
  Pending(Pending&&) noexcept = default;
  Pending& operator=(Pending&&) = delete;

  void over() {
    const EntryPtr entry = std::exchange(entry_, nullptr);
    if (entry && --entry->pending < kMaxPending) entry->loop->resume();
  }

 private:
  EntryPtr entry_;
};

Listeners::Listeners(std::shared_ptr<const ListenRules> rules, std::shared_ptr<Allowance> allowance,
                     std::weak_ptr<tunnel::Tunnel> tunnel, std::shared_ptr<UdpHost> udp, Reclaim reclaim,
                     tunnel::Claim guest)
    : rules_(std::move(rules)),
      allowance_(std::move(allowance)),
      tunnel_(std::move(tunnel)),
      udp_(std::move(udp)),
      reclaim_(std::move(reclaim)),
      guest_(guest) {}

Listeners::Endpoint Listeners::Entry::endpoint() const {
  if (udp) return {session::ListenKind::kUdp, udp->local_endpoint().address(), udp->local_endpoint().port()};
  return {session::ListenKind::kTcp, loop->local_endpoint().address(), loop->local_endpoint().port()};
}

void Listeners::Entry::stop() const {
  if (loop) loop->stop();
  if (udp) udp->stop();
}

void Listeners::on(const session::UnlistenEvent& event) {
  const auto entry = entries_.extract(event.listener);
  if (!entry) return;
  entry.mapped()->stop();
  log::info("a user's listener on {} is closed", text(entry.mapped()->endpoint()));
}

void Listeners::on(const session::ListenEvent& event) {
  const auto tunnel = tunnel_.lock();
  if (!tunnel) return;
  const bool udp = event.kind == session::ListenKind::kUdp;
  if (udp && !udp_) return tunnel->unlisten(event.listener, ResetCode::kCommandNotSupported);
  const auto made = udp ? listen_udp(*tunnel, event) : listen_tcp(*tunnel, event);
  if (!made) {
    log::info("a user's listener is refused: {}", made.error().text);
    return tunnel->unlisten(event.listener, refusal(made.error()));
  }
  const EntryPtr& entry = *made;
  entries_.emplace(event.listener, entry);
  const Endpoint endpoint = entry->endpoint();
  log::info("listening on {} for a user", text(endpoint));
  tunnel->listening(event.listener, tunnel::make_destination(tcp::endpoint(endpoint.address, endpoint.port)));
  if (udp) entry->udp->start(tunnel->flow_of(event.listener));
}

Result<Listeners::EntryPtr> Listeners::listen_tcp(tunnel::Tunnel& tunnel, const session::ListenEvent& event) {
  auto acceptor = bind(endpoint_of(event), [&](const Endpoint& endpoint) {
    // The rules open addresses of one family each, so the socket takes no other.
    return net::listen_on(tunnel.executor(), tcp::endpoint(endpoint.address, endpoint.port),
                          /*ipv6_only=*/true);
  });
  if (!acceptor) return acceptor.error();
  auto entry = std::make_shared<Entry>();
  auto on_accepted = [weak = weak_from_this(), id = event.listener,
                      weak_entry = std::weak_ptr(entry)](tunnel::Socket socket) {
    const auto self = weak.lock();
    const auto this_entry = weak_entry.lock();
    if (self && this_entry) self->on_connection(id, this_entry, std::move(socket));
  };
  entry->loop = std::make_shared<net::AcceptLoop>(net::Acceptor(std::move(*acceptor)), "a user's listener",
                                                  std::move(on_accepted));
  entry->loop->start();
  return entry;
}

Result<Listeners::EntryPtr> Listeners::listen_udp(tunnel::Tunnel& tunnel, const session::ListenEvent& event) {
  auto socket = bind(endpoint_of(event), [&](const Endpoint& endpoint) {
    return UdpSocket::open(tunnel.executor(), {endpoint.address, endpoint.port});
  });
  if (!socket) return socket.error();
  auto entry = std::make_shared<Entry>();
  entry->udp = std::make_shared<UdpListener>(std::move(*socket), udp_->buffers(), allowance_);
  return entry;
}

// Port 0 is any free one among those that the rules allow.
template <class Bind>
std::invoke_result_t<Bind, Listeners::Endpoint> Listeners::bind(Endpoint endpoint, const Bind& try_bind) {
  const IpAddress ip = ip_address(endpoint.address);
  const Error forbidden = make_error(ErrorKind::kRefused, "no --allow-listen rule opens " + text(endpoint));
  if (endpoint.port != 0) {
    if (!allows(endpoint)) return forbidden;
    auto bound = try_bind(endpoint);
    const bool taken = !bound && bound.error().detail == EADDRINUSE;
    if (!taken || !reclaim_(endpoint)) return bound;
    return try_bind(endpoint);
  }
  Error last = forbidden;
  auto ports = allowance_->listen_rules().candidates(ip, kMostTries);
  for (const std::uint16_t port : rules_->candidates(ip, kMostTries)) ports.push_back(port);
  for (const std::uint16_t port : ports) {
    endpoint.port = port;
    auto bound = try_bind(endpoint);
    if (bound) return bound;
    last = bound.error();
  }
  return last;
}

bool Listeners::allows(const Endpoint& endpoint) const {
  const IpAddress ip = ip_address(endpoint.address);
  return rules_->allows(ip, endpoint.port) || allowance_->listen_rules().allows(ip, endpoint.port);
}

void Listeners::recheck() {
  std::vector<session::ListenerId> over;
  for (const auto& [id, entry] : entries_) {
    if (!allows(entry->endpoint())) over.push_back(id);
  }
  const auto tunnel = tunnel_.lock();
  for (const session::ListenerId id : over) {
    const auto entry = entries_.extract(id);
    if (!entry) continue;
    entry.mapped()->stop();
    log::info("a user's listener on {} is closed: no rule opens it any more",
              text(entry.mapped()->endpoint()));
    if (tunnel) tunnel->unlisten(id, ResetCode::kNotAllowed);
  }
}

void Listeners::on_connection(session::ListenerId id, const EntryPtr& entry, tunnel::Socket socket) {
  auto tunnel = tunnel_.lock();
  if (!tunnel) return;
  auto admission = allowance_->admit(guest_);
  if (!admission.reason.empty()) {
    if (allowance_->may_log())
      log::info("a connection to a user's listener is refused: {}", admission.reason);
    return reset(socket);
  }
  asio::co_spawn(tunnel->executor(),
                 serve(tunnel, id, Pending(entry), std::move(socket), allowance_, std::move(admission)),
                 net::RethrowFailure{});
}

asio::awaitable<void> Listeners::serve(std::shared_ptr<tunnel::Tunnel> tunnel, session::ListenerId id,
                                       Pending pending, tunnel::Socket socket,
                                       std::shared_ptr<Allowance> allowance, Allowance::Admission admission) {
  if (admission.pause > Allowance::Duration::zero()) {
    asio::steady_timer turn(tunnel->executor(), admission.pause);
    const auto [late] = co_await turn.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)late;
  }
  error_code ec;
  auto from = tunnel::make_destination(net::tcp_endpoint(socket.remote_endpoint(ec)));
  auto outcome = co_await tunnel->open(id, std::move(from));
  pending.over();
  if (!outcome.stream) {
    reset(socket);
    co_return;
  }
  admission.slot.give(outcome.stream);
  Bytes nothing_early;
  co_await tunnel::splice(std::move(socket), std::move(outcome.stream), std::move(nothing_early),
                          std::move(allowance));
}

bool Listeners::close_at(const Endpoint& endpoint) {
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (at->second->endpoint() != endpoint) continue;
    at->second->stop();
    const auto id = at->first;
    entries_.erase(at);
    if (const auto tunnel = tunnel_.lock()) tunnel->unlisten(id, ResetCode::kCancelled);
    return true;
  }
  return false;
}

void Listeners::close() {
  for (const auto& [id, entry] : entries_) entry->stop();
  entries_.clear();
}

}  // namespace zks::exit
