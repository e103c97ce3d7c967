// SPDX-License-Identifier: MIT
//
// The proxy, asked by HTTP, over real loopback sockets: first in front of a tunnel that the test plays, then
// of a real one, with the test as the server at its far end.
#include <gmock/gmock.h>

#include "fake_opener.hpp"
#include "proxy_fixture.hpp"
#include "tunnel_opener.hpp"

namespace zks::frontdoor {
namespace {

using session::ResetCode;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

Bytes bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

// A client's end or a server's.
template <class End>
std::string receive_header(End& end) {
  std::string out;
  while (!out.ends_with("\r\n\r\n")) {
    const Bytes byte = end.receive(1);
    if (byte.empty()) break;
    out += static_cast<char>(byte[0]);
  }
  return out;
}

// The status of an answer with Content-Length, all of which is read.
template <class End>
int receive_page(End& end) {
  const std::string header = receive_header(end);
  const std::size_t length = header.find("Content-Length: ");
  if (length == std::string::npos || !header.starts_with("HTTP/1.1 ")) return 0;
  const std::size_t size = std::stoul(header.substr(length + 16));
  EXPECT_EQ(end.receive(size).size(), size);
  return std::stoi(header.substr(9));
}

class HttpProxyTest : public ProxyServerFixture<FakeOpener> {
 protected:
  std::size_t asked() {
    return on_server([this] { return opener->asked.size(); });
  }
};

TEST_F(HttpProxyTest, EveryFailureHasItsStatus) {
  start();
  const std::pair<ResetCode, int> codes[] = {{ResetCode::kNotAllowed, 403},
                                             {ResetCode::kNameNotFound, 502},
                                             {ResetCode::kConnectionRefused, 502},
                                             {ResetCode::kNetworkUnreachable, 502},
                                             {ResetCode::kTimedOut, 504},
                                             {ResetCode::kSessionLost, 503},
                                             {ResetCode::kLimit, 503},
                                             {ResetCode::kGeneralFailure, 502}};
  Client kept(server->local_endpoint());
  for (const auto& [code, status] : codes) {
    on_server([&, wanted = code] { return opener->code = wanted; });
    Client client(server->local_endpoint());
    client.send(bytes("CONNECT a.test:443 HTTP/1.1\r\n\r\nearly"));
    EXPECT_EQ(receive_page(client), status);
    EXPECT_EQ(client.end(), asio::error::eof) << "unread data must not turn the page into a reset";
    kept.send(bytes("GET http://a.test/ HTTP/1.1\r\n\r\n"));
    EXPECT_EQ(receive_page(kept), status) << "on one connection";
  }
  EXPECT_EQ(asked(), 2 * std::size(codes));
  EXPECT_EQ(on_server([this] { return session::to_text(opener->asked.back()); }), "a.test:80");
}

TEST_F(HttpProxyTest, HeadGetsNoBody) {
  start();
  Client client(server->local_endpoint());
  client.send(bytes("HEAD http://a.test/ HTTP/1.1\r\nConnection: close\r\n\r\n"));
  EXPECT_THAT(receive_header(client), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(client.end(), asio::error::eof);
}

TEST_F(HttpProxyTest, OtherFirstBytesAreClosed) {
  start();
  for (const std::uint8_t first : Bytes{0, 1, 3, 6, 0x16, '\t', ' ', '1', '{', 0x80, 0xff}) {
    Client client(server->local_endpoint());
    client.send({first});
    EXPECT_TRUE(client.receive(1).empty()) << first;
  }
  EXPECT_EQ(asked(), 0u);
}

TEST_F(HttpProxyTest, EmptyLinesBeforeTheFirstRequest) {
  start();
  for (const std::string_view blank : {"\r\n", "\n", "\r\n\r\n", "\n\r\n"}) {
    Client client(server->local_endpoint());
    for (const char byte : blank) client.send({static_cast<std::uint8_t>(byte)});
    client.send(bytes("GET / HTTP/1.1\r\n\r\n"));
    EXPECT_EQ(receive_page(client), 200);
    client.send(bytes(std::string(blank) + "CONNECT a.test:443 HTTP/1.1\r\n\r\n"));
    EXPECT_EQ(receive_page(client), 502) << "what the opener said";
  }
  EXPECT_EQ(asked(), 4u);
}

TEST_F(HttpProxyTest, EmptyLinesAloneAreNoRequestAndEnd) {
  ProxyServerOptions options;
  options.handshake_timeout = milliseconds(50);
  start(options);
  Client client(server->local_endpoint());
  client.send(bytes("\r\n\n\r\n"));
  EXPECT_TRUE(client.end());
  EXPECT_EQ(asked(), 0u);
}

// Some clients send one behind a body: it is not the beginning of a header, which would have to come soon.
TEST_F(HttpProxyTest, AnEmptyLineBehindARequestLeavesTheConnectionIdle) {
  ProxyServerOptions options;
  options.handshake_timeout = milliseconds(500);
  start(options);
  Client client(server->local_endpoint());
  client.send(bytes("GET / HTTP/1.1\r\n\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 200);
  client.send(bytes("\r\n"));
  std::this_thread::sleep_for(2 * options.handshake_timeout);  // longer than a header may take
  client.send(bytes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 200);
}

TEST_F(HttpProxyTest, OwnPagesNeedNoPasswordAndEverythingElseDoes) {
  ProxyServerOptions options;
  options.credentials = std::make_shared<Credentials>(as_bytes("u"), as_bytes("p"));
  start(options);
  Client client(server->local_endpoint());
  client.send(bytes("GET /proxy.pac HTTP/1.1\r\nHost: evil.test\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 200);
  client.send(bytes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 200);
  client.send(bytes("GET /favicon.ico HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 404);
  client.send(bytes("GET http://a.test/ HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 407);
  client.send(bytes("CONNECT a.test:1 HTTP/1.1\r\nProxy-Authorization: Basic dTpx\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 407);
  EXPECT_EQ(asked(), 0u);
  client.send(bytes("GET http://a.test/ HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 502);
  EXPECT_EQ(asked(), 1u);
}

TEST_F(HttpProxyTest, BadRequestsEndTheConnection) {
  start();
  const std::pair<std::string, int> requests[] = {
      {"GET http://a.test/ HTTP/3.0\r\n\r\n", 505},
      {"hello\r\n\r\n", 400},
      {"GET https://a.test/ HTTP/1.1\r\n\r\n", 501},
      {"POST http://a.test/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"GET /" + std::string(tunnel::Connection::kMaxInputBytes, 'x'), 431}};
  for (const auto& [request, status] : requests) {
    Client client(server->local_endpoint());
    client.send(bytes(request));
    EXPECT_EQ(receive_page(client), status);
    EXPECT_EQ(client.end(), asio::error::eof);
  }
}

TEST_F(HttpProxyTest, SlowHeadersAreEnded) {
  ProxyServerOptions options;
  options.handshake_timeout = milliseconds(50);
  start(options);
  Client client(server->local_endpoint());
  client.send(bytes("GET / HTTP/1.1\r\nX: "));
  EXPECT_TRUE(client.end());
  Client second(server->local_endpoint());
  second.send(bytes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(second), 200);
  second.send(bytes("G"));
  EXPECT_TRUE(second.end()) << "the second header has to come in time too";
  eventually([&] { return server->connections() == 0; });
}

TEST_F(HttpProxyTest, IdleConnectionsAreEnded) {
  ProxyServerOptions options;
  options.idle_timeout = milliseconds(50);
  start(options);
  Client client(server->local_endpoint());
  client.send(bytes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 200);
  EXPECT_TRUE(client.end());
}

TEST_F(HttpProxyTest, IdleConnectionsMakeRoomForNewOnes) {
  ProxyServerOptions options;
  options.max_handshakes = 1;
  start(options);
  Client idle(server->local_endpoint());
  idle.send(bytes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(idle), 200);
  eventually([&] { return server->handshakes() == 1; });
  Client other(server->local_endpoint());
  EXPECT_TRUE(idle.end());
  other.send(bytes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(other), 200);
}

TEST_F(HttpProxyTest, RequestsInOneSegment) {
  start();
  Client client(server->local_endpoint());
  client.send(bytes("GET / HTTP/1.1\r\n\r\n\r\nGET /x HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(receive_page(client), 200);
  EXPECT_EQ(receive_page(client), 404);
  EXPECT_EQ(receive_page(client), 200);
  EXPECT_EQ(client.end(), asio::error::eof);
}

TEST_F(HttpProxyTest, ClientThatClosesWhileItWaitsForATunnelEndsTheAttempt) {
  start();
  on_server([&] { return opener->held = true; });
  Client client(server->local_endpoint());
  client.send(bytes("CONNECT a.test:443 HTTP/1.1\r\n\r\n"));
  eventually([&] { return opener->pending == 1; });
  client.close();
  eventually([&] { return opener->pending == 0 && server->connections() == 0; });
}

TEST_F(HttpProxyTest, HalfCloseBehindARequestIsNotTheEnd) {
  start();
  on_server([&] { return opener->held = true; });
  Client client(server->local_endpoint());
  client.send(bytes("GET http://a.test/ HTTP/1.0\r\n\r\n"));
  client.half_close();
  eventually([&] { return opener->pending == 1; });
  on_server([&] { return opener->release(), true; });
  EXPECT_EQ(receive_page(client), 502);
}

TEST_F(HttpProxyTest, StopEndsIdleConnectionsAtOnce) {
  start();
  Client idle(server->local_endpoint());
  idle.send(bytes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(receive_page(idle), 200);
  eventually([&] { return server->handshakes() == 1; });
  stop();
  EXPECT_TRUE(idle.end());
}

// --- with a server behind a real tunnel ---

// The server's end of a stream.
class Far {
 public:
  explicit Far(tcp::socket socket) : socket_(std::move(socket)) {}

  Bytes receive(std::size_t count) {
    Bytes out(count);
    boost::system::error_code ec;
    out.resize(asio::read(socket_, asio::buffer(out), ec));
    return out;
  }
  void send(std::string_view text) { asio::write(socket_, asio::buffer(text.data(), text.size())); }
  // The same, where the other end may close meanwhile.
  void send_what_is_wanted(std::string_view text) {
    boost::system::error_code ignored;
    asio::write(socket_, asio::buffer(text.data(), text.size()), ignored);
  }
  // Until nobody takes any more, now, or wants any more.
  void fill() {
    socket_.non_blocking(true);
    const std::string much(1 << 20, 'x');
    boost::system::error_code ec;
    while (!ec) socket_.write_some(asio::buffer(much), ec);
    socket_.non_blocking(false);
  }
  void close() { socket_.close(); }
  void reset() {
    socket_.set_option(asio::socket_base::linger(true, 0));
    socket_.close();
  }
  boost::system::error_code end() {
    boost::system::error_code ec;
    std::uint8_t byte = 0;
    while (!ec) asio::read(socket_, asio::buffer(&byte, 1), ec);
    return ec;
  }

 private:
  tcp::socket socket_;
};

constexpr std::string_view kGet = "GET http://a.test/ HTTP/1.1\r\n\r\n";
constexpr std::string_view kEmpty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

class HttpStreamTest : public ProxyServerFixture<TunnelOpener> {
 protected:
  void SetUp() override { begin({}); }
  void begin(const ProxyServerOptions& options) {
    target.open(tcp::v4());
    target.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    target.listen();
    opener->target = target.local_endpoint();
    opener->bound.kind = session::Destination::Kind::kIpv4;
    start(options);
  }
  void TearDown() override {
    if (server) stop();
    on_server([this] { return opener->end(), true; });
  }
  Far accept() { return Far(target.accept()); }

  asio::io_context target_context;
  tcp::acceptor target{target_context};
};

TEST_F(HttpStreamTest, ConnectCarriesWhatCameEarlyAndBothEnds) {
  Client client(server->local_endpoint());
  client.send(bytes("CONNECT a.test:443 HTTP/1.1\r\n\r\nearly "));
  EXPECT_EQ(receive_header(client), "HTTP/1.1 200 Connection established\r\n\r\n");
  Far far = accept();
  client.send(bytes("late"));
  client.half_close();
  EXPECT_EQ(as_text(far.receive(100)), "early late");
  far.send("answer");
  far.close();
  EXPECT_EQ(client.receive(100), bytes("answer"));
}

TEST_F(HttpStreamTest, OneStreamForRequestsToOnePlace) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  for (int i = 0; i < 3; ++i) {
    if (i > 0) client.send(bytes(kGet));
    EXPECT_EQ(receive_header(far), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    far.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n");
    EXPECT_EQ(receive_header(client), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    std::string body;
    while (!body.ends_with("0\r\n\r\n")) body += static_cast<char>(client.receive(1).at(0));
  }
  client.send(bytes("GET http://b.test/ HTTP/1.1\r\n\r\n"));
  Far other = accept();
  EXPECT_THAT(receive_header(other), HasSubstr("Host: b.test"));
  other.send(kEmpty);
  EXPECT_EQ(receive_page(client), 200);
  EXPECT_EQ(far.end(), asio::error::eof) << "the first one is not needed any more";
}

TEST_F(HttpStreamTest, TheKeptStreamEndsWithItsClient) {
  for (const bool answers : {true, false}) {
    Client client(server->local_endpoint());
    client.send(bytes(kGet));
    Far far = accept();
    receive_header(far);
    far.send(kEmpty);
    EXPECT_EQ(receive_page(client), 200);
    client.close();
    EXPECT_EQ(far.end(), asio::error::eof);
    if (answers) far.close();
    eventually([&] { return server->connections() == 0 && opener->open_streams() == 0; });
  }
}

// Also when its destination has said something that nobody asked for, as servers that time out do.
TEST_F(HttpStreamTest, TheKeptStreamEndsInOrderWithBytesThatNobodyReads) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  far.send(kEmpty);
  EXPECT_EQ(receive_page(client), 200);
  far.send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
  client.close();
  EXPECT_EQ(far.end(), asio::error::eof);
  far.close();
  eventually([&] { return server->connections() == 0 && opener->open_streams() == 0; });
}

TEST_F(HttpStreamTest, ARequestThatCannotBeRepeatedUsesTheKeptStreamToo) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  far.send(kEmpty);
  EXPECT_EQ(receive_page(client), 200);
  for (const std::string_view method : {"POST", "PUT", "PROPFIND", "PATCH"}) {
    client.send(bytes(std::string(method) + " http://a.test/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"));
    EXPECT_THAT(receive_header(far), StartsWith(std::string(method) + " / "));
    EXPECT_EQ(far.receive(3), bytes("abc"));
    far.send(kEmpty);
    EXPECT_EQ(receive_page(client), 200);
  }
}

TEST_F(HttpStreamTest, ARequestThatCannotBeRepeatedIsNotSentTwice) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  far.send(kEmpty);
  EXPECT_EQ(receive_page(client), 200);
  client.send(bytes("POST http://a.test/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"));
  receive_header(far);
  EXPECT_EQ(far.receive(3), bytes("abc"));
  far.close();
  EXPECT_EQ(client.end(), asio::error::eof) << "as without a proxy";
}

TEST_F(HttpStreamTest, TheDestinationHearsOfAClientThatLeaves) {
  for (const std::string_view begun : {"", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    for (const std::string_view pipelined : {"", "GET http://a.test/next HTTP/1.1\r\n\r\n"}) {
      Client client(server->local_endpoint());
      client.send(bytes(std::string(kGet) + std::string(pipelined)));
      Far far = accept();
      receive_header(far);
      far.send(begun);
      if (!begun.empty()) receive_header(client);
      client.half_close();
      EXPECT_TRUE(far.end()) << begun << pipelined;
      eventually([&] { return server->connections() == 0; });
    }
  }
}

// Its end stands behind more than the proxy reads before the answer.
TEST_F(HttpStreamTest, SoItDoesOfOneThatHasAskedForMuchMore) {
  std::string many(kGet);
  while (many.size() < 3 * tunnel::Connection::kMaxInputBytes)
    many += "GET http://a.test/next HTTP/1.1\r\n\r\n";
  for (const bool by_reset : {false, true}) {
    Client client(server->local_endpoint());
    client.send(bytes(many));
    Far far = accept();
    receive_header(far);
    if (by_reset) {
      client.send_urgent('!');  // which would be all that the kernel tells
      eventually([&] { return client.is_taken(); });
      for (int i = 0; i < 3; ++i) on_server([] { return true; });  // the proxy has seen that one
      client.reset();
    } else {
      client.close();
    }
    EXPECT_TRUE(far.end());
    eventually([&] { return server->connections() == 0; });
  }
}

TEST_F(HttpStreamTest, SoItDoesOfOneWhoseUploadItDoesNotRead) {
  Client client(server->local_endpoint());
  client.send(bytes("PUT http://a.test/ HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n"));
  Far far = accept();
  receive_header(far);
  client.fill();
  while (!client.is_taken()) far.receive(1024);  // so that its end gets through to the proxy
  client.close();
  eventually([&] { return server->connections() == 0 && opener->open_streams() == 0; });
  EXPECT_EQ(far.end(), asio::error::connection_reset) << "half a request is none";
}

TEST_F(HttpStreamTest, TheLastRequestsClientMayEndItsSideAndIsAnswered) {
  for (const std::string_view request :
       {"GET http://a.test/ HTTP/1.0\r\n\r\n", "GET http://a.test/ HTTP/1.1\r\nConnection: close\r\n\r\n"}) {
    Client client(server->local_endpoint());
    client.send(bytes(request));
    client.half_close();
    Far far = accept();
    receive_header(far);
    EXPECT_EQ(far.end(), asio::error::eof) << "the destination sees it as it would directly";
    far.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_THAT(receive_header(client), StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(client.receive(100), bytes("ok"));
  }
}

TEST_F(HttpStreamTest, AStreamThatEndsUnusedIsReplaced) {
  Client client(server->local_endpoint());
  for (const bool by_reset : {false, true}) {
    client.send(bytes(kGet));
    Far first = accept();
    receive_header(first);
    first.send(kEmpty);
    EXPECT_EQ(receive_page(client), 200);
    client.send(bytes(kGet));
    receive_header(first);  // the server got it, and closes all the same
    if (by_reset) {
      first.reset();
    } else {
      first.close();
    }
    Far second = accept();
    EXPECT_THAT(receive_header(second), StartsWith("GET / "));
    second.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(receive_page(client), 200);
  }
}

TEST_F(HttpStreamTest, BodiesOfEachKind) {
  Client client(server->local_endpoint());
  client.send(bytes("PUT http://a.test/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
  Far far = accept();
  EXPECT_EQ(receive_header(far), "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(far.receive(8), bytes("3\r\nabc\r\n"));
  client.send(bytes("2;x\r\nde\r\n0\r\nX: y\r\n\r\n"));
  EXPECT_EQ(far.receive(7 + 5), bytes("2\r\nde\r\n0\r\n\r\n"));
  far.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  far.close();
  EXPECT_EQ(receive_header(client), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.receive(100), bytes("until the end"));
}

TEST_F(HttpStreamTest, ContinueIsPassedOnBeforeTheBodyComes) {
  Client client(server->local_endpoint());
  client.send(bytes("PUT http://a.test/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
  Far far = accept();
  EXPECT_THAT(receive_header(far), HasSubstr("Expect: 100-continue"));
  far.send("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(receive_header(client), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(bytes("abc"));
  EXPECT_EQ(far.receive(3), bytes("abc"));
  far.send(kEmpty);
  EXPECT_EQ(receive_page(client), 200);
  client.send(bytes(kGet));
  far.close();
  Far next = accept();
  receive_header(next);
  next.send(kEmpty);
  EXPECT_EQ(receive_page(client), 200);
}

TEST_F(HttpStreamTest, AnAnswerBeforeTheBodyEndsTheConnectionBehindIt) {
  Client client(server->local_endpoint());
  client.send(bytes("PUT http://a.test/ HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc"));
  Far far = accept();
  receive_header(far);
  far.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_THAT(receive_header(client), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_EQ(client.receive(10), bytes("no"));
  EXPECT_EQ(client.end(), asio::error::eof);
}

TEST_F(HttpStreamTest, UpgradeBecomesATunnel) {
  Client client(server->local_endpoint());
  client.send(bytes("GET http://a.test/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"));
  Far far = accept();
  EXPECT_THAT(receive_header(far), HasSubstr("Connection: upgrade\r\nUpgrade: echo\r\n"));
  far.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
  EXPECT_THAT(receive_header(client), StartsWith("HTTP/1.1 101 "));
  EXPECT_EQ(client.receive(5), bytes("hello")) << "what came with the answer";
  client.send(bytes("there"));
  client.half_close();
  EXPECT_EQ(far.receive(100), bytes("there"));
  far.send("bye");
  far.close();
  EXPECT_EQ(client.receive(100), bytes("bye"));
}

TEST_F(HttpStreamTest, AnswersThatAreCutOffAreSeenToBe) {
  for (const std::string_view answer :
       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"}) {
    Client client(server->local_endpoint());
    client.send(bytes(kGet));
    Far far = accept();
    receive_header(far);
    far.send(answer);
    far.close();
    EXPECT_EQ(client.end(), asio::error::connection_reset) << answer;
  }
}

// Where a server's framing is at fault, its connection is not used again; the client's is.
TEST_F(HttpStreamTest, AnAnswerWithTwoFramingsIsFramedAnew) {
  Client client(server->local_endpoint());
  for (const std::string_view framing :
       {"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Transfer-Encoding: chunked, chunked\r\n"}) {
    client.send(bytes(kGet));
    Far far = accept();
    receive_header(far);
    far.send("HTTP/1.1 200 OK\r\n" + std::string(framing) + "\r\n5\nhello\n0\n\nHTTP/1.1 200 OK\r\n\r\n");
    EXPECT_EQ(receive_header(client), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    std::string body;
    while (!body.ends_with("0\r\n\r\n")) body += static_cast<char>(client.receive(1).at(0));
    EXPECT_THAT(body, StartsWith("5\r\nhello\r\n"));
    EXPECT_TRUE(far.end());
  }
}

TEST_F(HttpStreamTest, AnswersThatAreNoneBecome502) {
  for (const std::string_view answer : {"", "HTTP/1.1 200", "SSH-2.0-x\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"}) {
    Client client(server->local_endpoint());
    client.send(bytes(kGet));
    Far far = accept();
    receive_header(far);
    far.send(answer);
    far.close();
    EXPECT_EQ(receive_page(client), 502) << answer;
    EXPECT_EQ(client.end(), asio::error::eof);
  }
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  far.send("HTTP/1.1 200 OK\r\nX: ");
  far.fill();
  EXPECT_EQ(receive_page(client), 502);
}

TEST_F(HttpStreamTest, InterimAnswersAreBoundedByTheirRate) {
  for (const std::string_view version : {"1.0", "1.1"}) {
    Client client(server->local_endpoint());
    client.send(bytes("GET http://a.test/ HTTP/" + std::string(version) + "\r\nConnection: close\r\n\r\n"));
    Far far = accept();
    receive_header(far);
    std::string many;
    for (int i = 0; i < 200; ++i) many += "HTTP/1.1 102 Processing\r\n\r\n";
    far.send(many);
    if (version == "1.1") {
      for (int i = 0; i < 200; ++i) EXPECT_EQ(receive_header(client), "HTTP/1.1 102 Processing\r\n\r\n");
    }
    far.send(kEmpty);
    EXPECT_EQ(receive_page(client), 200);
  }
}

// Far more than 256 at once, and in whatever time they go through.
TEST_F(HttpStreamTest, TooManyInterimAnswersAtATimeBecome502) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "HTTP/1.1 103 Early Hints\r\n\r\n";
  far.send_what_is_wanted(many);
  std::string header = receive_header(client);
  int passed = 0;
  for (; header.starts_with("HTTP/1.1 103 "); header = receive_header(client)) ++passed;
  EXPECT_GE(passed, 256);
  EXPECT_THAT(header, StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(client.end(), asio::error::eof) << "the page ends in order";
  EXPECT_TRUE(far.end());
}

TEST_F(HttpStreamTest, AThousandInterimAnswersInTheirTimeAreFine) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    std::this_thread::sleep_until(begun + i * milliseconds(4));
    far.send("HTTP/1.1 102 Processing\r\n\r\n");
    ASSERT_EQ(receive_header(client), "HTTP/1.1 102 Processing\r\n\r\n") << i;
  }
  far.send(kEmpty);
  EXPECT_EQ(receive_page(client), 200);
}

// --- what has begun has to end ---

class HttpPatienceTest : public HttpStreamTest {
 protected:
  void SetUp() override {
    ProxyServerOptions options;
    options.line_timeout = milliseconds(200);
    begin(options);
  }
};

constexpr std::string_view kChunkedAnswer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_F(HttpPatienceTest, AnAnswersHeaderThatHasBegunHasToEnd) {
  for (const std::string_view begun :
       {"H", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 "}) {
    Client client(server->local_endpoint());
    client.send(bytes(kGet));
    Far far = accept();
    receive_header(far);
    far.send(begun);
    if (begun.find(" 100 ") != std::string_view::npos) receive_header(client);
    EXPECT_EQ(receive_page(client), 504) << begun;
    EXPECT_EQ(client.end(), asio::error::eof);
    EXPECT_TRUE(far.end());
  }
}

TEST_F(HttpPatienceTest, AHeaderThatDripsHasNoMoreTimeThanOneThatStops) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  far.send("HTTP/1.1 200 OK\r\nX: ");
  while (client.is_quiet()) {
    far.send_what_is_wanted("x");
    std::this_thread::sleep_for(milliseconds(1));  // so that it is late before it is too large
  }
  EXPECT_EQ(receive_page(client), 504);
}

TEST_F(HttpPatienceTest, ALineBetweenChunksThatHasBegunHasToEnd) {
  for (const std::string_view begun :
       {"5", "5;a", "5\r", "5\r\nhello\r", "0\r\n", "0\r\nA: b\r\n", "0\r\n\r"}) {
    Client client(server->local_endpoint());
    client.send(bytes(kGet));
    Far far = accept();
    receive_header(far);
    far.send(std::string(kChunkedAnswer) + std::string(begun));
    EXPECT_EQ(client.end(), asio::error::connection_reset) << begun;
    EXPECT_TRUE(far.end());
  }
}

TEST_F(HttpPatienceTest, ALineBetweenAClientsChunksHasToEndToo) {
  for (const std::string_view begun : {"3", "3\r\nabc\r", "0\r\n", "0\r\nA: b"}) {
    Client client(server->local_endpoint());
    client.send(
        bytes("PUT http://a.test/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(begun)));
    Far far = accept();
    receive_header(far);
    EXPECT_TRUE(client.end()) << begun;
    EXPECT_EQ(far.end(), asio::error::connection_reset) << "half a request is none";
  }
}

// A long poll, an event stream, a pause within data and between chunks: as long as they like.
TEST_F(HttpPatienceTest, WhatHasNotBegunMayWait) {
  const auto pause = [] { std::this_thread::sleep_for(milliseconds(500)); };  // longer than a line may take
  Client client(server->local_endpoint());
  client.send(bytes("PUT http://a.test/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na"));
  Far far = accept();
  receive_header(far);
  pause();
  client.send(bytes("bc"));
  pause();
  client.send(bytes("\r\n"));
  pause();
  client.send(bytes("0\r\n\r\n"));
  std::string sent;
  while (!sent.ends_with("0\r\n\r\n")) sent += static_cast<char>(far.receive(1).at(0));
  pause();
  far.send("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(receive_header(client), StartsWith("HTTP/1.1 100 "));
  pause();
  far.send(std::string(kChunkedAnswer) + "5\r\nhel");
  EXPECT_EQ(receive_header(client), kChunkedAnswer);
  pause();
  far.send("lo");
  pause();
  far.send("\r\n");
  pause();
  far.send("0\r\n\r\n");
  std::string body;
  while (!body.ends_with("0\r\n\r\n")) body += static_cast<char>(client.receive(1).at(0));
  EXPECT_EQ(body, "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
}

TEST_F(HttpStreamTest, ABodyThatIsNotChunkedIsTheClientsFault) {
  Client client(server->local_endpoint());
  client.send(bytes("PUT http://a.test/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense"));
  Far far = accept();
  EXPECT_EQ(receive_page(client), 400);
  EXPECT_TRUE(far.end());
}

TEST_F(HttpStreamTest, HalfARequestDoesNotReachItsEnd) {
  Client client(server->local_endpoint());
  client.send(bytes("PUT http://a.test/ HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"));
  Far far = accept();
  receive_header(far);
  client.close();
  EXPECT_EQ(far.end(), asio::error::connection_reset);
}

TEST_F(HttpStreamTest, ClientThatResetsWhileItWaitsForTheAnswer) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  client.reset();
  EXPECT_EQ(far.end(), asio::error::connection_reset);
  eventually([&] { return server->connections() == 0; });
}

TEST_F(HttpStreamTest, ResetReachesAClientThatDoesNotRead) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  far.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
  far.fill();
  far.reset();
  eventually([&] { return server->connections() == 0; });
}

TEST_F(HttpStreamTest, OldClientsGetNoChunks) {
  Client client(server->local_endpoint());
  client.send(bytes("GET http://a.test/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  Far far = accept();
  EXPECT_EQ(receive_header(far), "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  far.send(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  EXPECT_EQ(receive_header(client), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.receive(100), bytes("abc"));
}

TEST_F(HttpStreamTest, StopLetsAnAnswerCome) {
  Client client(server->local_endpoint());
  client.send(bytes(kGet));
  Far far = accept();
  receive_header(far);
  auto stopped = asio::co_spawn(context, server->stop(), asio::use_future);
  on_server([] { return true; });
  far.send(kEmpty);
  EXPECT_THAT(receive_header(client), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_EQ(client.end(), asio::error::eof);
  stopped.get();
  server.reset();
}

}  // namespace
}  // namespace zks::frontdoor
