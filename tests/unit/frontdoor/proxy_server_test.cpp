// SPDX-License-Identifier: MIT
//
// The proxy over real loopback sockets, asked by SOCKS5 and SOCKS4, in front of a tunnel that the test plays:
// replies, bounds, clients that leave, and the end.
#include "frontdoor/proxy_server.hpp"

#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fake_opener.hpp"
#include "proxy_fixture.hpp"

namespace zks::frontdoor {
namespace {

using session::Destination;
using session::ResetCode;
using std::chrono::milliseconds;
using testing::ElementsAre;

class ProxyServerTest : public ProxyServerFixture<FakeOpener> {};

TEST_F(ProxyServerTest, EveryRefusalHasItsReplyAndAnOrderlyEnd) {
  start();
  const std::pair<ResetCode, std::uint8_t> codes[] = {{ResetCode::kGeneralFailure, 1},
                                                      {ResetCode::kNotAllowed, 2},
                                                      {ResetCode::kNetworkUnreachable, 3},
                                                      {ResetCode::kHostUnreachable, 4},
                                                      {ResetCode::kNameNotFound, 4},
                                                      {ResetCode::kConnectionRefused, 5},
                                                      {ResetCode::kTimedOut, 6},
                                                      {ResetCode::kSessionLost, 1},
                                                      {ResetCode::kLimit, 1},
                                                      {ResetCode::kAddressNotSupported, 8},
                                                      {ResetCode::kConnectionReset, 1}};
  for (const auto& [code, reply] : codes) {
    on_server([&, wanted = code] { return opener->code = wanted; });
    Client client(server->local_endpoint());
    client.request({'d', 'a', 't', 'a'});
    EXPECT_EQ(client.receive(10), refusal(reply)) << session::describe(code);
    EXPECT_EQ(client.end(), asio::error::eof) << "unread data must not turn the reply into a reset";
  }
}

TEST_F(ProxyServerTest, AsksForWhatTheClientWants) {
  start();
  Client client(server->local_endpoint());
  const Bytes everything{5, 1, 0, 5, 1, 0, 3, 6, 'a', '.', 't', 'e', 's', 't', 0x1f, 0x90};
  for (const std::uint8_t byte : everything) client.send({byte});
  EXPECT_THAT(client.receive(2), ElementsAre(5, 0));
  EXPECT_EQ(client.receive(10), refusal(1));
  const auto asked = on_server([&] { return opener->asked; });
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].kind, Destination::Kind::kName);
  EXPECT_EQ(asked[0].name, "a.test");
  EXPECT_EQ(asked[0].port, 8080);
}

TEST_F(ProxyServerTest, RefusesInTheHandshakeWithoutAsking) {
  ProxyServerOptions options;
  options.credentials = std::make_shared<Credentials>(as_bytes("u"), as_bytes("p"));
  start(options);
  Client without_password(server->local_endpoint());
  without_password.send(kGreeting);
  EXPECT_THAT(without_password.receive(2), ElementsAre(5, 0xff));
  EXPECT_EQ(without_password.end(), asio::error::eof);
  Client wrong_password(server->local_endpoint());
  wrong_password.send({5, 1, 2, 1, 1, 'u', 1, 'q', 5, 1, 0, 1, 1, 2, 3, 4, 0, 80});
  EXPECT_THAT(wrong_password.receive(4), ElementsAre(5, 2, 1, 1));
  EXPECT_EQ(wrong_password.end(), asio::error::eof);
  Client right_password(server->local_endpoint());
  right_password.send({5, 1, 2, 1, 1, 'u', 1, 'p', 5, 3, 0, 1, 1, 2, 3, 4, 0, 80});
  Bytes command_refused{5, 2, 1, 0};
  const Bytes reply = refusal(7);
  command_refused.insert(command_refused.end(), reply.begin(), reply.end());
  EXPECT_EQ(right_password.receive(14), command_refused);
  EXPECT_TRUE(on_server([&] { return opener->asked.empty(); }));
}

TEST_F(ProxyServerTest, Socks4) {
  start();
  Client client(server->local_endpoint());
  for (const std::uint8_t byte :
       Bytes{4, 1, 0x1f, 0x90, 0, 0, 0, 1, 'm', 'e', 0, 'a', '.', 't', 'e', 's', 't', 0})
    client.send({byte});
  EXPECT_THAT(client.receive(9), ElementsAre(0, 91, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(client.end(), asio::error::eof);
  EXPECT_EQ(on_server([&] { return session::to_text(opener->asked.at(0)); }), "a.test:8080");
  Client binds(server->local_endpoint());
  binds.send({4, 2, 0, 80, 1, 2, 3, 4, 0});
  EXPECT_THAT(binds.receive(9), ElementsAre(0, 91, 0, 0, 0, 0, 0, 0));
}

TEST_F(ProxyServerTest, Socks4HasNoPassword) {
  ProxyServerOptions options;
  options.credentials = std::make_shared<Credentials>(as_bytes("u"), as_bytes("p"));
  start(options);
  Client client(server->local_endpoint());
  client.send({4, 1, 0, 80, 192, 0, 2, 7, 'u', 0});
  EXPECT_THAT(client.receive(9), ElementsAre(0, 91, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(client.end(), asio::error::eof);
  EXPECT_TRUE(on_server([&] { return opener->asked.empty(); }));
}

TEST_F(ProxyServerTest, ClientThatClosesWhileItWaitsEndsTheAttempt) {
  start();
  on_server([&] { return opener->held = true; });
  Client client(server->local_endpoint());
  client.request();
  eventually([&] { return opener->pending == 1; });
  client.close();
  eventually([&] { return opener->pending == 0 && server->connections() == 0; });
}

TEST_F(ProxyServerTest, ClientThatResetsWhileItWaitsEndsTheAttempt) {
  start();
  on_server([&] { return opener->held = true; });
  for (const std::size_t early : {std::size_t{0}, std::size_t{100}, std::size_t{64 * 1024}}) {
    Client client(server->local_endpoint());
    client.request(Bytes(early, 'x'));
    eventually([&] { return opener->pending == 1; });
    client.reset();
    eventually([&] { return opener->pending == 0 && server->connections() == 0; });
  }
}

// Nobody reads the urgent byte, so the kernel has nothing new to tell.
TEST_F(ProxyServerTest, ClientThatResetsBehindAnUrgentByteEndsTheAttempt) {
  start();
  on_server([&] { return opener->held = true; });
  Client client(server->local_endpoint());
  client.request(Bytes(64 * 1024, 'x'));
  eventually([&] { return opener->pending == 1; });
  client.send_urgent('!');
  eventually([&] { return client.is_taken(); });
  for (int i = 0; i < 3; ++i) on_server([] { return true; });  // it has seen that one
  client.reset();
  eventually([&] { return opener->pending == 0 && server->connections() == 0; });
}

TEST_F(ProxyServerTest, HalfCloseBehindDataIsNotTheEnd) {
  start();
  on_server([&] { return opener->held = true; });
  Client client(server->local_endpoint());
  client.request({'G', 'E', 'T'});
  client.half_close();
  eventually([&] { return opener->pending == 1; });
  on_server([&] { return opener->release(), true; });
  EXPECT_EQ(client.receive(10), refusal(1));
}

TEST_F(ProxyServerTest, SlowHandshakeIsEnded) {
  ProxyServerOptions options;
  options.handshake_timeout = milliseconds(50);
  start(options);
  Client client(server->local_endpoint());
  client.send({5, 1});
  EXPECT_TRUE(client.end());
  eventually([&] { return server->connections() == 0; });
}

TEST_F(ProxyServerTest, TheOldestHandshakeMakesRoomForANewOne) {
  ProxyServerOptions options;
  options.max_handshakes = 2;
  start(options);
  Client first(server->local_endpoint());
  eventually([&] { return server->handshakes() == 1; });
  Client second(server->local_endpoint());
  eventually([&] { return server->handshakes() == 2; });
  Client third(server->local_endpoint());
  EXPECT_TRUE(first.end());
  eventually([&] { return server->handshakes() == 2; });
  for (Client* client : {&second, &third}) {
    client->request();
    EXPECT_EQ(client->receive(10), refusal(1));
  }
}

TEST_F(ProxyServerTest, ConnectionsBeyondTheBoundAreClosed) {
  ProxyServerOptions options;
  options.max_connections = 1;
  start(options);
  Client first(server->local_endpoint());
  eventually([&] { return server->connections() == 1; });
  Client second(server->local_endpoint());
  EXPECT_TRUE(second.end());
  EXPECT_TRUE(first.is_quiet());
  first.request();
  EXPECT_EQ(first.receive(10), refusal(1));
}

TEST_F(ProxyServerTest, StopDropsHandshakesAndEndsWaitingClientsInTime) {
  ProxyServerOptions options;
  options.drain_timeout = milliseconds(50);
  start(options);
  on_server([&] { return opener->held = true; });
  Client asking(server->local_endpoint());
  Client waiting(server->local_endpoint());
  waiting.request();
  eventually([&] { return opener->pending == 1 && server->connections() == 2; });
  const tcp::endpoint where = server->local_endpoint();
  stop();
  EXPECT_EQ(opener->pending, 0);
  EXPECT_TRUE(asking.end());
  EXPECT_TRUE(waiting.end());
  EXPECT_THROW(Client{where}, boost::system::system_error);
}

TEST_F(ProxyServerTest, StopLetsAWaitingClientHaveItsAnswer) {
  start();
  on_server([&] { return opener->held = true; });
  Client waiting(server->local_endpoint());
  waiting.request();
  eventually([&] { return opener->pending == 1; });
  auto stopped = asio::co_spawn(context, server->stop(), asio::use_future);
  on_server([&] { return opener->release(), true; });
  EXPECT_EQ(waiting.receive(10), refusal(1));
  waiting.close();
  stopped.get();
  server.reset();
}

// Not under UBSan: its check of dynamic types opens a pipe, for which there is no descriptor here either.
#ifndef ZKS_SANITIZED
TEST_F(ProxyServerTest, AcceptsAgainWhenDescriptorsComeBack) {
  start();
  Client client(server->local_endpoint());
  eventually([&] { return server->connections() == 1; });
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // The descriptor that the test's next socket gets is the last one, so that the server finds none.
  asio::io_context unconnected;
  tcp::socket late(unconnected);
  late.open(tcp::v4());
  const rlimit none{.rlim_cur = static_cast<rlim_t>(late.native_handle()) + 1, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  late.connect(server->local_endpoint());
  client.request();  // the server still serves those that it has
  EXPECT_EQ(client.receive(10), refusal(1));
  EXPECT_EQ(on_server([&] { return opener->asked.size(); }), 1u);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  asio::write(late, asio::buffer(kGreeting));
  Bytes reply(2);
  asio::read(late, asio::buffer(reply));
  EXPECT_THAT(reply, ElementsAre(5, 0));
}
#endif

TEST_F(ProxyServerTest, AddressThatIsTaken) {
  start();
  ProxyServerOptions options;
  options.listen = {server->local_endpoint()};
  const auto second = ProxyServer::listen(opener, options);
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().kind, ErrorKind::kIo);
  EXPECT_EQ(second.error().detail, EADDRINUSE);
}

}  // namespace
}  // namespace zks::frontdoor
