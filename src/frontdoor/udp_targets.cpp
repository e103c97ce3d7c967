// SPDX-License-Identifier: MIT
#include "frontdoor/udp_targets.hpp"

#include <algorithm>
#include <array>

#include "base/log.hpp"
#include "frontdoor/udp_sizes.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::frontdoor {
namespace {

using namespace std::chrono_literals;
using asio::ip::udp;
using boost::system::error_code;
using session::Destination;
using std::chrono::steady_clock;

constexpr auto kNameKept = 60s;
constexpr auto kFailureKept = 5s;

}  // namespace

UdpTargets::UdpTargets(asio::any_io_executor executor, Destination target, tunnel::SessionFlowPtr flow,
                       std::size_t max_sources)
    : executor_(std::move(executor)),
      target_(std::move(target)),
      flow_(std::move(flow)),
      resolver_(executor_),
      sources_(max_sources, tunnel::source_idle(target_.port)),
      idle_(executor_) {}

void UdpTargets::start() {
  if (target_.kind != Destination::Kind::kName) addresses_ = {tunnel::make_endpoint<udp>(target_)};
  tunnel::FlowHandlers handlers;
  handlers.on_datagram = [weak = weak_from_this()](const Destination& from, ByteView bytes) {
    if (const auto self = weak.lock()) self->on_datagram(from, bytes);
  };
  handlers.on_closed = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->stop();
  };
  flow_->handle(std::move(handlers));
}

void UdpTargets::stop() {
  stopped_ = true;
  idle_.cancel();
  resolver_.cancel();
  waiting_.clear();
  sources_.clear();
}

void UdpTargets::on_datagram(const Destination& from, ByteView bytes) {
  if (stopped_) return;
  const auto source = tunnel::make_endpoint<udp>(from);
  const auto now = steady_clock::now();
  const bool is_name = target_.kind == Destination::Kind::kName;
  if (is_name && now >= look_up_at_ && !sources_.wrote_lately(source, now)) {
    if (waiting_.size() < kMaxWaiting) waiting_.emplace_back(source, Bytes(bytes.begin(), bytes.end()));
    return look_up();
  }
  forward(source, bytes);
}

void UdpTargets::look_up() {
  if (std::exchange(looking_, true)) return;
  resolver_.async_resolve(
      target_.name, std::to_string(target_.port),
      [weak = weak_from_this()](const error_code& ec, const udp::resolver::results_type& found) {
        if (const auto self = weak.lock(); self && !self->stopped_) self->on_found(ec, found);
      });
}

void UdpTargets::on_found(const error_code& ec, const udp::resolver::results_type& found) {
  looking_ = false;
  look_up_at_ = steady_clock::now() + (ec ? std::chrono::seconds(kFailureKept) : kNameKept);
  addresses_.clear();
  if (ec) log::warn("datagrams that come by -R are lost: {}: {}", session::to_text(target_), ec.message());
  for (const auto& entry : found) addresses_.push_back(entry.endpoint());
  for (const auto& [source, bytes] : std::exchange(waiting_, {})) forward(source, bytes);
}

void UdpTargets::forward(const Source& source, ByteView bytes) {
  const auto now = steady_clock::now();
  SocketPtr* known = sources_.touch(source, now);
  SocketPtr socket = known != nullptr ? *known : connect();
  if (!socket) return;
  if (known == nullptr) {
    sources_.add(source, socket, now);
    watch(source, socket);
    arm();
  }
  error_code ec;
  socket->send(asio::buffer(bytes.data(), bytes.size()), 0, ec);
  if (ec == asio::error::connection_refused) on_refused(source);
}

// To the first address that this machine has a route to.
UdpTargets::SocketPtr UdpTargets::connect() {
  for (const auto& address : addresses_) {
    auto socket = std::make_shared<udp::socket>(executor_);
    error_code ec;
    socket->open(address.protocol(), ec);
    if (!ec) socket->non_blocking(true, ec);
    if (!ec) socket->connect(address, ec);
    if (!ec) return socket;
  }
  return nullptr;
}

// Ends with the table's hold on the socket.
void UdpTargets::watch(const Source& source, const SocketPtr& socket) {
  socket->async_wait(udp::socket::wait_read, [weak = weak_from_this(), weak_socket = std::weak_ptr(socket),
                                              source](const error_code& ec) {
    const auto self = weak.lock();
    const auto this_socket = weak_socket.lock();
    if (!ec && self && this_socket && !self->stopped_) self->on_readable(source, this_socket);
  });
}

void UdpTargets::on_readable(const Source& source, const SocketPtr& socket) {
  static thread_local std::array<std::uint8_t, kDatagramBytes> buffer;
  const Destination to = tunnel::make_destination(source);
  for (int i = 0; i < kDatagramsATurn; ++i) {
    error_code ec;
    const std::size_t size = socket->receive(asio::buffer(buffer), 0, ec);
    if (ec == asio::error::connection_refused) return on_refused(source);
    if (ec) break;
    flow_->send(to, ByteView(buffer).first(size));
  }
  watch(source, socket);
}

// Nobody there: whoever writes again is tried at the next address of the name.
void UdpTargets::on_refused(const Source& source) {
  sources_.remove(source);
  std::rotate(addresses_.begin(), addresses_.begin() + (addresses_.empty() ? 0 : 1), addresses_.end());
}

void UdpTargets::arm() {
  if (armed_ || sources_.size() == 0) return;
  armed_ = true;
  idle_.expires_at(sources_.next_expiry());
  idle_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->stopped_) return;
    self->armed_ = false;
    self->sources_.expire(steady_clock::now());
    self->arm();
  });
}

}  // namespace zks::frontdoor
