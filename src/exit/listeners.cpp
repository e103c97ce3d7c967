// SPDX-License-Identifier: MIT
#include "exit/listeners.hpp"

#include <cerrno>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "carrier/spawn.hpp"
#include "exit/endpoint.hpp"

namespace zks::exit {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::ResetCode;

constexpr std::size_t kMostTries = 256;  // of free ports

IpAddress ip_address_of_bind(const session::Destination& address) {
  const bool ipv6 = address.kind == session::Destination::Kind::kIpv6;
  return ipv6 ? make_ipv6(address.address.data()) : make_ipv4(address.address.data());
}

std::string text(const tcp::endpoint& endpoint) {
  return format_host_port(endpoint.address().to_string(), endpoint.port());
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

Listeners::Listeners(std::shared_ptr<const ListenRules> rules, std::shared_ptr<Allowance> allowance,
                     std::weak_ptr<tunnel::Tunnel> tunnel, MakeWay make_way)
    : rules_(std::move(rules)),
      allowance_(std::move(allowance)),
      tunnel_(std::move(tunnel)),
      make_way_(std::move(make_way)) {}

void Listeners::on_event(const session::Event& event) {
  if (event.kind == session::Event::Kind::kListen) return listen(event);
  const auto entry = entries_.extract(event.listener);
  if (!entry) return;
  entry.mapped()->loop->stop();
  log::info("a user's listener on {} is closed", text(entry.mapped()->loop->local_endpoint()));
}

void Listeners::listen(const session::Event& event) {
  const auto tunnel = tunnel_.lock();
  if (!tunnel) return;
  if (event.listen_kind != session::ListenKind::kTcp) {
    return tunnel->unlisten(event.listener, ResetCode::kCommandNotSupported);
  }
  auto acceptor = bind(tunnel->executor(), event.address);
  if (!acceptor) {
    log::info("a user's listener is refused: {}", acceptor.error().text);
    return tunnel->unlisten(event.listener, refusal(acceptor.error()));
  }
  const auto entry = std::make_shared<Entry>();
  entry->loop =
      std::make_shared<tunnel::AcceptLoop>(std::move(*acceptor), "a user's listener",
                                           [weak = weak_from_this(), id = event.listener,
                                            weak_entry = std::weak_ptr(entry)](tunnel::Socket socket) {
                                             const auto self = weak.lock();
                                             const auto this_entry = weak_entry.lock();
                                             if (self && this_entry)
                                               self->on_connection(id, this_entry, std::move(socket));
                                           });
  entry->loop->start();
  entries_.emplace(event.listener, entry);
  log::info("listening on {} for a user", text(entry->loop->local_endpoint()));
  tunnel->listening(event.listener, make_destination(entry->loop->local_endpoint()));
}

// Port 0 is any free one among those that the rules allow.
Result<tunnel::Acceptor> Listeners::bind(const asio::any_io_executor& executor,
                                         const session::Destination& address) {
  const IpAddress ip = ip_address_of_bind(address);
  auto endpoint = tunnel::make_endpoint<tcp>(address);
  const Error forbidden = make_error(ErrorKind::kRefused, "no --allow-listen rule opens " + text(endpoint));
  if (address.port != 0) {
    if (!rules_->allows(ip, address.port)) return forbidden;
    auto acceptor = tunnel::listen_on(executor, endpoint);
    const bool taken = !acceptor && acceptor.error().detail == EADDRINUSE;
    if (!taken || !make_way_(endpoint)) return acceptor;
    return tunnel::listen_on(executor, endpoint);
  }
  Error last = forbidden;
  for (const std::uint16_t port : rules_->candidates(ip, kMostTries)) {
    endpoint.port(port);
    auto acceptor = tunnel::listen_on(executor, endpoint);
    if (acceptor) return acceptor;
    last = acceptor.error();
  }
  return last;
}

void Listeners::on_connection(session::ListenerId id, const EntryPtr& entry, tunnel::Socket socket) {
  auto tunnel = tunnel_.lock();
  if (!tunnel) return;
  auto admission = allowance_->admit();
  if (!admission.reason.empty()) {
    if (allowance_->may_log())
      log::info("a connection to a user's listener is refused: {}", admission.reason);
    return reset(socket);
  }
  if (++entry->pending >= kMaxPending) entry->loop->pause();
  asio::co_spawn(tunnel->executor(),
                 serve(tunnel, id, entry, std::move(socket), allowance_, std::move(admission)),
                 carrier::RethrowFailure{});
}

asio::awaitable<void> Listeners::serve(std::shared_ptr<tunnel::Tunnel> tunnel, session::ListenerId id,
                                       EntryPtr entry, tunnel::Socket socket,
                                       std::shared_ptr<Allowance> allowance, Allowance::Admission admission) {
  if (admission.pause > Allowance::Duration::zero()) {
    asio::steady_timer turn(tunnel->executor(), admission.pause);
    const auto [late] = co_await turn.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)late;
  }
  error_code ec;
  auto from = make_destination(tunnel::tcp_endpoint(socket.remote_endpoint(ec)));
  auto outcome = co_await tunnel->open(id, std::move(from));
  if (--entry->pending < kMaxPending) entry->loop->resume();
  if (!outcome.stream) {
    reset(socket);
    co_return;
  }
  Bytes nothing_early;
  co_await tunnel::splice(std::move(socket), std::move(outcome.stream), std::move(nothing_early),
                          std::move(allowance));
}

bool Listeners::close_at(const tcp::endpoint& address) {
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (at->second->loop->local_endpoint() != address) continue;
    at->second->loop->stop();
    const auto id = at->first;
    entries_.erase(at);
    if (const auto tunnel = tunnel_.lock()) tunnel->unlisten(id, ResetCode::kCancelled);
    return true;
  }
  return false;
}

void Listeners::close() {
  for (const auto& [id, entry] : entries_) entry->loop->stop();
  entries_.clear();
}

}  // namespace zks::exit
