// SPDX-License-Identifier: MIT
//
// dial() where an address is silent in TLS: a second attempt with small segments, and what is said of the
// path afterwards. Over loopback a silent server stands for a certificate that is lost.
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/http.hpp>
#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "carrier/accept.hpp"
#include "carrier/dial.hpp"
#include "certificate.hpp"
#include "net/as_tuple.hpp"

namespace zks::carrier {
namespace {

using namespace std::chrono_literals;
namespace http = boost::beast::http;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using net::kTuple;

constexpr std::size_t kNone = 99;

// Takes connections; in the order of their coming, one of them is served.
struct Server {
  Server(asio::io_context& io, const test::Certificate& certificate)
      : acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), context(ssl::context::tls_server) {
    context.use_certificate_chain(asio::buffer(certificate.certificate_pem()));
    context.use_private_key(asio::buffer(certificate.key_pem()), ssl::context::pem);
  }
  std::uint16_t port() const { return acceptor.local_endpoint().port(); }

  tcp::acceptor acceptor;
  ssl::context context;
  std::vector<tcp::socket> taken;
  std::vector<std::uint32_t> segments;  // of what the server sends, for each
  CarrierPtr served;
};

asio::awaitable<void> serve(Server* server, std::size_t connections, std::size_t which) {
  while (server->taken.size() < connections) {
    auto [ec, socket] = co_await server->acceptor.async_accept(kTuple);
    if (ec) co_return;
    server->segments.push_back(net::tcp_state(socket)->send_segment);
    server->taken.push_back(std::move(socket));
  }
  if (which == kNone) co_return;
  TlsStream stream(net::TcpStream(std::move(server->taken[which])), server->context.native_handle(),
                   TlsEngine::Role::kServer);
  const ErrorCode tls_ec = co_await stream.handshake();
  if (tls_ec) co_return;
  boost::beast::flat_buffer buffer;
  UpgradeRequest request;
  auto [ec, size] = co_await http::async_read(stream, buffer, request, kTuple);
  if (ec) co_return;
  auto accepted = co_await accept_upgrade(std::move(stream), std::move(request), AcceptOptions());
  if (accepted) server->served = std::move(*accepted);
}

asio::awaitable<void> dial_it(asio::any_io_executor executor, std::uint16_t port, DialOptions options,
                              Result<CarrierPtr>* out) {
  const RelayUrl url{.tls = true, .host = "127.0.0.1", .port = port, .prefix = ""};
  *out = co_await dial(executor, url, "/v1/test", options);
}

class SecondAttempt : public testing::Test {
 protected:
  void SetUp() override {
    options.pin = certificate.pin();
    options.timeout = 30s;
  }
  void dial(std::size_t connections, std::size_t which) {
    server.taken.clear();
    server.segments.clear();
    test::run(io, serve(&server, connections, which),
              dial_it(io.get_executor(), server.port(), options, &dialled));
  }
  int next() { return options.segments->next("127.0.0.1", server.port(), SegmentLimits::Clock::now()); }

  asio::io_context io;
  test::Certificate certificate = test::make_certificate("IP:127.0.0.1");
  Server server{io, certificate};
  DialOptions options;
  Result<CarrierPtr> dialled = make_error(ErrorKind::kIo, "not dialled");
};

TEST_F(SecondAttempt, ThatGetsThroughShowsAPathThatLosesLargePackets) {
  dial(2, 1);
  ASSERT_TRUE(dialled) << dialled.error().text;
  EXPECT_EQ((*dialled)->path().segment, SegmentLimits::kSmall);
  EXPECT_GT(server.segments[0], static_cast<std::uint32_t>(SegmentLimits::kSmall));
  EXPECT_LE(server.segments[1], static_cast<std::uint32_t>(SegmentLimits::kSmall)) << "it holds both ways";
  EXPECT_EQ(next(), SegmentLimits::kSmall);
  dial(1, 0);
  ASSERT_TRUE(dialled) << "the next one has them at once";
  EXPECT_LE(server.segments[0], static_cast<std::uint32_t>(SegmentLimits::kSmall));
}

TEST_F(SecondAttempt, ThatIsLaterThanTheFirstShowsNothing) {
  dial(2, 0);
  ASSERT_TRUE(dialled) << dialled.error().text;
  EXPECT_EQ((*dialled)->path().segment, 0) << "the relay was slow";
  EXPECT_EQ(next(), 0);
}

TEST_F(SecondAttempt, IsNotMadeWhereTheFirstIsThrough) {
  dial(1, 0);
  ASSERT_TRUE(dialled) << dialled.error().text;
  EXPECT_EQ((*dialled)->path().segment, 0);
  EXPECT_EQ(next(), 0);
}

// A relay that hangs, or one that has too much to do.
TEST_F(SecondAttempt, ThatHangsAsWellShowsThatItIsNotTheSize) {
  options.timeout = 3s;
  for (int i = 0; i < 3; ++i) {
    dial(2, kNone);
    ASSERT_FALSE(dialled);
    EXPECT_EQ(dialled.error().kind, ErrorKind::kTimeout);
    EXPECT_EQ(dialled.error().text, "TLS with 127.0.0.1 took too long");
  }
  EXPECT_EQ(next(), 0);
}

}  // namespace
}  // namespace zks::carrier
