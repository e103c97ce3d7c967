// SPDX-License-Identifier: MIT
#include "exit/udp_listener.hpp"

#include "net/endpoint.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {
namespace {

using asio::ip::udp;
using session::Destination;
using std::chrono::steady_clock;

}  // namespace

UdpListener::UdpListener(UdpSocket socket, std::shared_ptr<UdpBuffers> buffers,
                         std::shared_ptr<Allowance> allowance)
    : socket_(std::move(socket)),
      buffers_(std::move(buffers)),
      allowance_(std::move(allowance)),
      sources_(kMaxSources, tunnel::kSourceIdle) {
  boost::system::error_code ignored;
  local_ = socket_.socket().local_endpoint(ignored);
}

void UdpListener::start(tunnel::SessionFlowPtr flow) {
  flow_ = std::move(flow);
  tunnel::FlowHandlers handlers;
  handlers.on_datagram = [weak = weak_from_this()](const Destination& to, ByteView bytes) {
    if (const auto self = weak.lock()) self->on_answer(to, bytes);
  };
  flow_->handle(std::move(handlers));
  watch();
}

void UdpListener::stop() {
  stopped_ = true;
  boost::system::error_code ignored;
  socket_.socket().close(ignored);
  sources_.clear();
}

void UdpListener::watch() {
  socket_.socket().async_wait(udp::socket::wait_read,
                              [weak = weak_from_this()](const boost::system::error_code& ec) {
                                const auto self = weak.lock();
                                if (!ec && self && !self->stopped_) self->on_ready();
                              });
}

void UdpListener::on_ready() {
  while (
      socket_
          .next_complaint()) {  // of answers; nobody here has words for it, but the queue has to be emptied
  }
  const auto received = [this](const IpAddress& from, std::uint16_t port, ByteView bytes) {
    on_received(from, port, bytes);
  };
  for (int i = 0; i < kBatchesATurn && !stopped_; ++i) {
    if (socket_.receive(*buffers_, received) < UdpBuffers::kDatagrams) break;
  }
  if (!stopped_) watch();
}

void UdpListener::on_received(const IpAddress& from, std::uint16_t port, ByteView bytes) {
  if (!allowance_->take_datagram(tunnel::Meter::Direction::kDown, bytes.size())) return;
  const auto source = net::make_endpoint<udp>(from, port);
  const auto now = steady_clock::now();
  if (sources_.touch(source, now) == nullptr) sources_.add(source, {}, now);
  flow_->send(tunnel::make_destination(source), bytes);
}

void UdpListener::on_answer(const Destination& to, ByteView bytes) {
  if (stopped_ || to.port == 0) return;
  const auto source = tunnel::make_endpoint<udp>(to);
  if (!sources_.wrote_lately(source, steady_clock::now())) return;
  if (!allowance_->take_datagram(tunnel::Meter::Direction::kUp, bytes.size())) return;
  const auto address = ip_address_of(source.data());
  if (address) socket_.send(*address, to.port, bytes);
}

}  // namespace zks::exit
