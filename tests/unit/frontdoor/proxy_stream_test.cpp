// SPDX-License-Identifier: MIT
//
// The proxy, asked by SOCKS5, in front of a real tunnel: from the request to the last byte of the stream.
#include <list>

#include <gmock/gmock.h>

#include "captured_log.hpp"
#include "proxy_fixture.hpp"
#include "tunnel_opener.hpp"

namespace zks::frontdoor {
namespace {

using session::Destination;
using std::chrono::milliseconds;

class ProxyStreamTest : public ProxyServerFixture<TunnelOpener> {
 protected:
  void start_towards_listener(ProxyServerOptions options = {}) {
    target.open(tcp::v4());
    target.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    target.listen();
    opener->target = target.local_endpoint();
    opener->bound.kind = Destination::Kind::kIpv4;
    opener->bound.address = {198, 51, 100, 7};
    opener->bound.port = 0x1234;
    start(options);
  }
  void TearDown() override {
    if (server) stop();
    on_server([this] { return opener->end(), true; });
  }

  static Bytes success() { return {5, 0, 0, 1, 198, 51, 100, 7, 0x12, 0x34}; }
  static Bytes read_to_end(tcp::socket& socket) {
    Bytes out;
    boost::system::error_code ec;
    asio::read(socket, asio::dynamic_buffer(out), ec);
    EXPECT_EQ(ec, asio::error::eof);
    return out;
  }

  asio::io_context target_context;
  tcp::acceptor target{target_context};
};

TEST_F(ProxyStreamTest, RepliesWithTheBoundAddressAndCopiesBothWays) {
  start_towards_listener();
  Client client(server->local_endpoint());
  client.request({'e', 'a', 'r', 'l', 'y', ' '});
  EXPECT_EQ(client.receive(10), success());
  tcp::socket far = target.accept();
  client.send({'l', 'a', 't', 'e'});
  client.half_close();
  const Bytes arrived = read_to_end(far);
  EXPECT_EQ(as_text(arrived), "early late");
  asio::write(far, asio::buffer("answer", 6));
  far.close();
  EXPECT_EQ(client.receive(100), (Bytes{'a', 'n', 's', 'w', 'e', 'r'}));
  eventually([&] { return server->connections() == 0; });
}

TEST_F(ProxyStreamTest, Socks4CarriesWhatCameEarly) {
  start_towards_listener();
  Client client(server->local_endpoint());
  client.send({4, 1, 0, 80, 192, 0, 2, 7, 0, 'e', 'a', 'r', 'l', 'y'});
  EXPECT_EQ(client.receive(8), (Bytes{0, 90, 0x12, 0x34, 198, 51, 100, 7}));
  tcp::socket far = target.accept();
  client.half_close();
  const Bytes arrived = read_to_end(far);
  EXPECT_EQ(as_text(arrived), "early");
}

TEST_F(ProxyStreamTest, AHalfCloseBeforeTheReplyReachesTheTarget) {
  start_towards_listener();
  Client client(server->local_endpoint());
  client.request({'a', 'l', 'l'});
  client.half_close();
  tcp::socket far = target.accept();
  const Bytes arrived = read_to_end(far);
  EXPECT_EQ(as_text(arrived), "all");
  far.close();
  EXPECT_EQ(client.receive(100), success());
}

TEST_F(ProxyStreamTest, ClientThatLeavesWhileItWaitsResetsTheStream) {
  start();
  Client client(server->local_endpoint());
  client.request();
  eventually([&] { return opener->unanswered.size() == 1; });
  client.close();
  eventually([&] {
    return opener->unanswered[0]->reset_code() == session::ResetCode::kCancelled &&
           server->connections() == 0;
  });
}

TEST_F(ProxyStreamTest, AtTheBoundTheLongestHalfClosedMakesRoom) {
  const CapturedLog log;
  ProxyServerOptions options;
  options.max_connections = 3;
  start_towards_listener(options);
  const auto connect = [&](Client& client) {
    client.request();
    EXPECT_EQ(client.receive(10), success());
    return target.accept();
  };
  Client whole(server->local_endpoint());
  tcp::socket whole_far = connect(whole);
  std::list<Client> abandoned;
  std::list<tcp::socket> mute;
  for (int i = 0; i < 2; ++i) {
    mute.push_back(connect(abandoned.emplace_back(server->local_endpoint())));
    abandoned.back().half_close();
    EXPECT_EQ(read_to_end(mute.back()), Bytes());
  }
  std::list<Client> later;
  for (Client& longest : abandoned) {
    mute.push_back(connect(later.emplace_back(server->local_endpoint())));
    EXPECT_TRUE(longest.end());
    if (&longest == &abandoned.front()) {
      EXPECT_TRUE(abandoned.back().is_quiet());
    }
    eventually([&] { return server->connections() == 3; });
  }
  Client refused(server->local_endpoint());
  EXPECT_TRUE(refused.end()) << "whole ones are not thrown out";
  asio::write(whole_far, asio::buffer("yes", 3));
  EXPECT_EQ(whole.receive(3), (Bytes{'y', 'e', 's'}));
  EXPECT_EQ(on_server([&] { return log.count("connections of the proxy are in use"); }), 1u);
  later.clear();
  stop();  // while the log is there
}

TEST_F(ProxyStreamTest, StopLetsStreamsFinish) {
  start_towards_listener();
  Client client(server->local_endpoint());
  client.request();
  EXPECT_EQ(client.receive(10), success());
  tcp::socket far = target.accept();
  auto stopped = asio::co_spawn(context, server->stop(), asio::use_future);
  client.send({'l', 'a', 's', 't'});
  client.half_close();
  const Bytes arrived = read_to_end(far);
  EXPECT_EQ(as_text(arrived), "last");
  far.close();
  EXPECT_EQ(client.end(), asio::error::eof);
  stopped.get();
  server.reset();
}

TEST_F(ProxyStreamTest, StopEndsStreamsThatDoNotFinish) {
  ProxyServerOptions options;
  options.drain_timeout = milliseconds(50);
  start_towards_listener(options);
  Client client(server->local_endpoint());
  client.request();
  EXPECT_EQ(client.receive(10), success());
  tcp::socket far = target.accept();
  stop();
  EXPECT_EQ(client.end(), asio::error::connection_reset);
  boost::system::error_code ec;
  std::uint8_t byte = 0;
  asio::read(far, asio::buffer(&byte, 1), ec);
  EXPECT_EQ(ec, asio::error::connection_reset);
}

}  // namespace
}  // namespace zks::frontdoor
