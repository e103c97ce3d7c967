// SPDX-License-Identifier: MIT
#include "frontdoor/udp_association.hpp"

#include <array>
#include <optional>
#include <utility>

#include <boost/asio/ip/udp.hpp>
#include <sys/socket.h>

#include "base/log.hpp"
#include "frontdoor/socks5_parser.hpp"
#include "frontdoor/socks5_udp.hpp"
#include "frontdoor/socks_codes.hpp"
#include "frontdoor/udp_sizes.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::frontdoor {
namespace {

using asio::ip::udp;
using boost::system::error_code;
using session::Destination;
using session::ResetCode;

class Association : public std::enable_shared_from_this<Association> {
 public:
  Association(const asio::any_io_executor& executor, asio::ip::address client, std::uint16_t announced_port)
      : socket_(executor), client_(std::move(client)), announced_port_(announced_port), peer_(client_, 0) {}

  // Where the client shall send to.
  Result<udp::endpoint> start(const asio::ip::address& local, tunnel::StreamOpener& opener) {
    error_code ec;
    socket_.open(local.is_v4() ? udp::v4() : udp::v6(), ec);
    if (!ec) socket_.non_blocking(true, ec);
    if (!ec) socket_.bind({local, 0}, ec);
    const auto bound = ec ? udp::endpoint() : socket_.local_endpoint(ec);
    if (ec) return make_error(ErrorKind::kIo, "no UDP socket for a client: " + ec.message(), ec.value());
    error_code ignored;
    socket_.set_option(asio::socket_base::receive_buffer_size(kSocketBufferBytes), ignored);
    socket_.set_option(asio::socket_base::send_buffer_size(kSocketBufferBytes), ignored);
    tunnel::FlowHandlers handlers;
    handlers.on_datagram = [weak = weak_from_this()](const Destination& from, ByteView bytes) {
      if (const auto self = weak.lock()) self->answer(from, bytes);
    };
    auto flow = opener.open_flow(std::move(handlers));
    if (!flow) return flow.error();
    flow_ = std::move(*flow);
    watch();
    return bound;
  }

  void stop() {
    error_code ignored;
    socket_.close(ignored);
    flow_.reset();
  }

 private:
  void watch() {
    socket_.async_wait(udp::socket::wait_read, [weak = weak_from_this()](const error_code& ec) {
      const auto self = weak.lock();
      if (!ec && self && self->flow_) self->on_readable();
    });
  }

  void on_readable() {
    static thread_local std::array<std::uint8_t, kDatagramBytes> buffer;
    for (int i = 0; i < kDatagramsATurn; ++i) {
      udp::endpoint from;
      error_code ec;
      const std::size_t size = socket_.receive_from(asio::buffer(buffer), from, 0, ec);
      if (ec == asio::error::would_block) break;
      if (!ec) from_client(from, ByteView(buffer).first(size));
    }
    watch();
  }

  void from_client(const udp::endpoint& from, ByteView received) {
    const bool known = peer_.port() == 0 || from.port() == peer_.port() || from.port() == announced_port_;
    if (from.address() != client_ || !known) return dropped(from, "it is not the association's client");
    const auto datagram = parse_socks5_datagram(received);
    if (!datagram) return dropped(from, "it has no SOCKS5 header, or is a fragment");
    peer_ = from;
    flow_->send(datagram->address, datagram->bytes);
  }

  void dropped(const udp::endpoint& from, const char* why) {
    if (std::exchange(told_, true)) return;
    log::debug("a datagram of {} to a UDP association of {} is dropped, as further ones will be: {}",
               from.address().to_string() + ":" + std::to_string(from.port()), client_.to_string(), why);
  }

  // An answer that does not go into one datagram together with its header is lost, as is one that the client
  // does not read.
  void answer(const Destination& source, ByteView bytes) {
    if (peer_.port() == 0) return;
    std::array<std::uint8_t, kMaxSocks5UdpHeader> header;
    ByteWriter out(header);
    if (!write_socks5_udp_header(out, source)) return;
    const std::array<asio::const_buffer, 2> pieces{asio::buffer(header, out.written()),
                                                   asio::buffer(bytes.data(), bytes.size())};
    error_code ignored;
    socket_.send_to(pieces, peer_, 0, ignored);
  }

  udp::socket socket_;
  asio::ip::address client_;
  std::uint16_t announced_port_;
  udp::endpoint peer_;  // port 0: not known yet
  bool told_ = false;
  tunnel::FlowPtr flow_;
};

// Ends the association however its coroutine ends.
struct AssociationGuard {
  std::shared_ptr<Association> association;
  ~AssociationGuard() { association->stop(); }
};

ResetCode code_of_failed_bind(const Error& error) {
  if (error.kind == ErrorKind::kRefused) return ResetCode::kCommandNotSupported;
  return error.kind == ErrorKind::kLimit ? ResetCode::kLimit : ResetCode::kGeneralFailure;
}

}  // namespace

asio::awaitable<void> serve_udp_associate(std::shared_ptr<tunnel::Connection> client,
                                          std::shared_ptr<tunnel::StreamOpener> opener, Destination announced,
                                          std::unique_ptr<tunnel::ConnectionSet::Membership> membership) {
  const auto until_the_end = std::move(membership);
  const AssociationGuard guard{std::make_shared<Association>(
      client->executor(), tunnel::unmapped(client->remote_endpoint().address()), announced.port)};
  Result<udp::endpoint> bound = make_error(ErrorKind::kLimit, "too many UDP associations");
  if (until_the_end)
    bound = guard.association->start(tunnel::unmapped(client->local_endpoint().address()), *opener);
  if (!bound) {
    log::warn("UDP ASSOCIATE refused: {}", bound.error().text);
    Bytes reply = encode_socks5_refusal(code_of_failed_bind(bound.error()));
    co_await tunnel::Connection::refuse(client, std::move(reply));
    co_return;
  }
  Bytes reply = encode_socks5_reply(kSucceeded, tunnel::make_destination(*bound));
  bool there = co_await tunnel::Connection::write(client, std::move(reply));
  while (there) {  // there is nothing that it could say here
    client->take(client->input().size());
    there = co_await tunnel::Connection::read(client);
  }
}

}  // namespace zks::frontdoor
