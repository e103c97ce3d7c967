// SPDX-License-Identifier: MIT
#include "frontdoor/local_udp_forward.hpp"

#include <array>
#include <cerrno>

#include <boost/asio/ip/v6_only.hpp>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "frontdoor/listen_endpoints.hpp"
#include "frontdoor/udp_sizes.hpp"
#include "net/listen.hpp"

namespace zks::frontdoor {
namespace {

using asio::ip::udp;
using boost::system::error_code;
using session::Destination;

constexpr std::chrono::seconds kComplainAgain{60};

// The program that sent it would need a socket of its own to hear of that.
std::string describe(session::IcmpError error) {
  const bool prohibited = error == session::IcmpError{3, 13} || error == session::IcmpError{1, 1};
  if (prohibited) return session::describe(session::ResetCode::kNotAllowed);
  return "unreachable, ICMP type " + std::to_string(error.type) + ", code " + std::to_string(error.code);
}

std::string text(const udp::endpoint& endpoint) {
  return format_host_port(endpoint.address().to_string(), endpoint.port());
}

constexpr int kTriesForOnePort = 16;  // a port that is free in one family may be taken in the other

Result<udp::socket> bind(const asio::any_io_executor& executor, const udp::endpoint& endpoint,
                         bool ipv6_only) {
  udp::socket socket(executor);
  error_code ec;
  socket.open(endpoint.protocol(), ec);
  if (!ec) socket.non_blocking(true, ec);
  if (!ec && endpoint.address().is_v6()) socket.set_option(asio::ip::v6_only(ipv6_only), ec);
  if (!ec) socket.bind(endpoint, ec);
  if (ec) {
    return make_error(
        ErrorKind::kIo,
        "can't take UDP on " + text(endpoint) + ": " + ec.message() + "; port 0 takes any free one",
        ec.value());
  }
  error_code ignored;
  socket.set_option(asio::socket_base::receive_buffer_size(kSocketBufferBytes), ignored);
  socket.set_option(asio::socket_base::send_buffer_size(kSocketBufferBytes), ignored);
  return socket;
}

// As net::listen_on_all() does it for TCP.
Result<std::vector<udp::socket>> bind_all(const asio::any_io_executor& executor,
                                          const std::vector<udp::endpoint>& endpoints,
                                          const std::vector<udp::endpoint>& all) {
  std::vector<udp::socket> out;
  std::uint16_t chosen = 0;
  for (udp::endpoint endpoint : endpoints) {
    const bool same_port = endpoint.port() == 0 && chosen != 0;
    const bool beside_ipv4 = same_port ? endpoint.address().is_v6() : net::is_ipv6_only(endpoint, all);
    if (same_port) endpoint.port(chosen);
    auto socket = bind(executor, endpoint, beside_ipv4);
    if (!socket && net::may_be_left_out(endpoint, beside_ipv4, socket.error())) continue;
    if (!socket) return socket.error();
    error_code ignored;
    chosen = socket->local_endpoint(ignored).port();
    out.push_back(std::move(*socket));
  }
  return out;
}

}  // namespace

Result<std::shared_ptr<LocalUdpForward>> LocalUdpForward::listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                                 ForwardSpec spec, Options options) {
  const auto endpoints = listen_endpoints<udp>(spec.listen);
  auto all = endpoints;
  all.insert(all.end(), options.beside.begin(), options.beside.end());
  auto sockets = bind_all(opener->executor(), endpoints, all);
  for (int tries = 1; tries < kTriesForOnePort && endpoints.front().port() == 0; ++tries) {
    if (sockets || sockets.error().detail != EADDRINUSE) break;
    sockets = bind_all(opener->executor(), endpoints, all);
  }
  if (!sockets) return sockets.error();
  if (is_open_to_others(spec.listen)) {
    log::warn("the forward on {} is open to whoever can reach this machine", to_text(spec.listen));
  }
  return std::make_shared<LocalUdpForward>(std::move(opener), std::move(spec), std::move(*sockets), options);
}

LocalUdpForward::LocalUdpForward(std::shared_ptr<tunnel::StreamOpener> opener, ForwardSpec spec,
                                 std::vector<udp::socket> sockets, const Options& options)
    : opener_(std::move(opener)),
      spec_(std::move(spec)),
      sockets_(std::move(sockets)),
      sources_(options.max_sources, options.idle_timeout.count() != 0
                                        ? options.idle_timeout
                                        : tunnel::source_idle(spec_.target.address.port)),
      idle_(opener_->executor()) {
  error_code ignored;
  address_ = text(sockets_.front().local_endpoint(ignored));
}

std::string LocalUdpForward::address() const {
  return address_;
}

void LocalUdpForward::close() {
  closed_ = true;
  idle_.cancel();
  error_code ignored;
  for (udp::socket& socket : sockets_) socket.close(ignored);
  sources_.clear();
}

void LocalUdpForward::start() {
  for (udp::socket& socket : sockets_) watch(socket);
}

void LocalUdpForward::watch(udp::socket& socket) {
  socket.async_wait(udp::socket::wait_read, [weak = weak_from_this(), &socket](const error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && !self->closed_) self->on_readable(socket);
  });
}

void LocalUdpForward::on_readable(udp::socket& socket) {
  static thread_local std::array<std::uint8_t, kDatagramBytes> buffer;
  for (int i = 0; i < kDatagramsATurn; ++i) {
    Source from;
    error_code ec;
    const std::size_t size = socket.receive_from(asio::buffer(buffer), from, 0, ec);
    if (ec == asio::error::would_block) break;
    if (!ec) on_datagram(from, ByteView(buffer).first(size));
  }
  watch(socket);
}

void LocalUdpForward::on_datagram(const Source& from, ByteView bytes) {
  const auto now = std::chrono::steady_clock::now();
  tunnel::FlowPtr* flow = sources_.touch(from, now);
  if (flow == nullptr) {
    auto opened = open_flow(from);
    if (!opened) return complain(opened.error());
    flow = &sources_.add(from, std::move(*opened), now);
    arm();
  }
  (*flow)->send(spec_.target.address, bytes);
}

Result<tunnel::FlowPtr> LocalUdpForward::open_flow(const Source& source) {
  tunnel::FlowHandlers handlers;
  handlers.on_datagram = [weak = weak_from_this(), source](const Destination& from, ByteView bytes) {
    if (const auto self = weak.lock()) self->answer(source, from, bytes);
  };
  handlers.on_error = [weak = weak_from_this()](const Destination&, session::IcmpError error) {
    if (const auto self = weak.lock()) self->complain(make_error(ErrorKind::kRefused, describe(error)));
  };
  return opener_->open_flow(std::move(handlers));
}

// What the source does not read is lost.
void LocalUdpForward::answer(const Source& to, const Destination& from, ByteView bytes) {
  if (closed_ || !is_of_target(from)) return;
  error_code ignored;
  for (udp::socket& socket : sockets_) {
    if (socket.local_endpoint(ignored).protocol() != to.protocol()) continue;
    socket.send_to(asio::buffer(bytes.data(), bytes.size()), to, 0, ignored);
  }
}

bool LocalUdpForward::is_of_target(const Destination& from) const {
  const Destination& target = spec_.target.address;
  if (from.port != target.port) return false;
  if (target.kind == Destination::Kind::kName) return true;
  const auto address = [](const Destination& of) {
    return tunnel::unmapped(tunnel::make_endpoint<udp>(of).address());
  };
  return address(from) == address(target);
}

// Once a minute, however many datagrams come.
void LocalUdpForward::complain(const Error& error) {
  const auto now = std::chrono::steady_clock::now();
  if (complained_at_ != decltype(complained_at_){} && now - complained_at_ < kComplainAgain) return;
  complained_at_ = now;
  log::warn("a datagram to the forward on {} is lost: {}", address_, error.text);
}

void LocalUdpForward::arm() {
  if (armed_ || sources_.size() == 0) return;
  armed_ = true;
  idle_.expires_at(sources_.next_expiry());
  idle_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->closed_) return;
    self->armed_ = false;
    self->sources_.expire(std::chrono::steady_clock::now());
    self->arm();
  });
}

}  // namespace zks::frontdoor
