// SPDX-License-Identifier: MIT
#include "frontdoor/local_udp_forward.hpp"

#include <array>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::frontdoor {
namespace {

using asio::ip::udp;
using boost::system::error_code;
using session::Destination;

constexpr std::size_t kDatagramBytes = 64 * 1024;
constexpr int kDatagramsATurn = 64;  // then others have theirs
constexpr int kSocketBufferBytes = 1024 * 1024;
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

}  // namespace

Result<std::shared_ptr<LocalUdpForward>> LocalUdpForward::listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                                 ForwardSpec spec, Options options) {
  const auto endpoint = tunnel::make_endpoint<udp>(spec.listen.address);
  udp::socket socket(opener->executor());
  error_code ec;
  socket.open(endpoint.protocol(), ec);
  if (!ec) socket.non_blocking(true, ec);
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
  if (is_open_to_others(spec.listen)) {
    log::warn("the forward on {} is open to whoever can reach this machine", to_text(spec.listen));
  }
  return std::make_shared<LocalUdpForward>(std::move(opener), std::move(spec), std::move(socket), options);
}

LocalUdpForward::LocalUdpForward(std::shared_ptr<tunnel::StreamOpener> opener, ForwardSpec spec,
                                 udp::socket socket, Options options)
    : opener_(std::move(opener)),
      spec_(std::move(spec)),
      socket_(std::move(socket)),
      sources_(options.max_sources, options.idle_timeout.count() != 0
                                        ? options.idle_timeout
                                        : tunnel::source_idle(spec_.target.address.port)),
      idle_(opener_->executor()) {
  error_code ignored;
  address_ = text(socket_.local_endpoint(ignored));
}

std::string LocalUdpForward::address() const {
  return address_;
}

void LocalUdpForward::close() {
  closed_ = true;
  idle_.cancel();
  error_code ignored;
  socket_.close(ignored);
  sources_.clear();
}

void LocalUdpForward::watch() {
  socket_.async_wait(udp::socket::wait_read, [weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && !self->closed_) self->on_readable();
  });
}

void LocalUdpForward::on_readable() {
  static thread_local std::array<std::uint8_t, kDatagramBytes> buffer;
  for (int i = 0; i < kDatagramsATurn; ++i) {
    Source from;
    error_code ec;
    const std::size_t size = socket_.receive_from(asio::buffer(buffer), from, 0, ec);
    if (ec == asio::error::would_block) break;
    if (!ec) on_datagram(from, ByteView(buffer).first(size));
  }
  watch();
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
  socket_.send_to(asio::buffer(bytes.data(), bytes.size()), to, 0, ignored);
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
