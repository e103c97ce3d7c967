// SPDX-License-Identifier: MIT
//
// dial() against accept_upgrade() over loopback, with certificates made here.
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/http.hpp>
#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "carrier/accept.hpp"
#include "carrier/dial.hpp"
#include "certificate.hpp"
#include "net/as_tuple.hpp"
#include "net/spawn.hpp"

namespace zks::carrier {
namespace {

namespace http = boost::beast::http;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using net::kTuple;
using test::Certificate;
using test::make_certificate;
using test::run;

// What the accepting side does with a request.
enum class Answer { kUpgrade, kNotFound, kSilence };

struct Accepted {
  CarrierPtr carrier;
  UpgradeRequest request;
  bool tls_failed = false;
};

struct Listening {
  explicit Listening(asio::io_context& io)
      : acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  tcp::acceptor acceptor;
  Answer answer = Answer::kUpgrade;
  std::size_t max_message_bytes = 1 << 20;
  std::uint16_t port() const { return acceptor.local_endpoint().port(); }
};

template <class Stream>
asio::awaitable<void> answer(Stream stream, Listening* listening, Accepted* out) {
  boost::beast::flat_buffer buffer;
  UpgradeRequest request;
  auto [ec, size] = co_await http::async_read(stream, buffer, request, kTuple);
  if (ec) co_return;
  out->request = request;
  if (listening->answer == Answer::kNotFound) {
    http::response<http::empty_body> response(http::status::not_found, 11);
    response.prepare_payload();
    [[maybe_unused]] auto [write_ec, written] = co_await http::async_write(stream, response, kTuple);
    co_return;
  }
  if (listening->answer == Answer::kSilence) {
    [[maybe_unused]] auto [read_ec, more] = co_await http::async_read(stream, buffer, request, kTuple);
    co_return;
  }
  AcceptOptions options;
  options.max_message_bytes = listening->max_message_bytes;
  auto carrier = co_await accept_upgrade(std::move(stream), std::move(request), options);
  if (carrier) out->carrier = std::move(*carrier);
}

asio::awaitable<void> accept_one(Listening* listening, ssl::context* tls, Accepted* out) {
  auto [ec, socket] = co_await listening->acceptor.async_accept(kTuple);
  if (ec) co_return;
  net::tune_socket(socket);
  if (tls == nullptr) {
    co_await answer(net::TcpStream(std::move(socket)), listening, out);
    co_return;
  }
  TlsStream stream(net::TcpStream(std::move(socket)), tls->native_handle(), TlsEngine::Role::kServer);
  const ErrorCode tls_ec = co_await stream.handshake();
  if (tls_ec) {
    out->tls_failed = true;
    co_return;
  }
  co_await answer(std::move(stream), listening, out);
}

asio::awaitable<void> dial_one(asio::any_io_executor executor, RelayUrl url, DialOptions options,
                               Result<CarrierPtr>* out) {
  *out = co_await dial(executor, url, "/v1/test", options);
}

asio::awaitable<void> read_one(Carrier* carrier, Buffer* buffer, Result<MessageType>* out) {
  *out = co_await carrier->read(*buffer);
}
asio::awaitable<void> write_one(Carrier* carrier, MessageType type, Bytes message, Result<>* out) {
  *out = co_await carrier->write(type, message);
}
asio::awaitable<void> close_one(Carrier* carrier, std::uint16_t code, Result<>* out) {
  *out = co_await carrier->close(code);
}

ssl::context server_context(const Certificate& certificate) {
  ssl::context context(ssl::context::tls_server);
  context.use_certificate_chain(asio::buffer(certificate.certificate_pem()));
  context.use_private_key(asio::buffer(certificate.key_pem()), ssl::context::pem);
  return context;
}

const Certificate& test_ca() {
  static const Certificate kCa = make_certificate("");
  return kCa;
}

class WebSocketTest : public testing::Test {
 protected:
  // One dial against one accept; the connected ends are in dialled_ and accepted_.
  void connect(const Certificate* certificate, DialOptions options, const std::string& host = "127.0.0.1") {
    std::optional<ssl::context> tls;
    if (certificate != nullptr) tls = server_context(*certificate);
    const RelayUrl url{
        .tls = certificate != nullptr, .host = host, .port = listening_.port(), .prefix = "/prefix"};
    run(io_, accept_one(&listening_, tls ? &*tls : nullptr, &accepted_),
        dial_one(io_.get_executor(), url, options, &dialled_));
  }
  void connect_plain() {
    connect(nullptr, {});
    ASSERT_TRUE(dialled_);
    ASSERT_TRUE(accepted_.carrier);
  }
  Error dial_error() { return dialled_ ? Error{} : dialled_.error(); }

  asio::io_context io_;
  Listening listening_{io_};
  Accepted accepted_;
  Result<CarrierPtr> dialled_ = make_error(ErrorKind::kIo, "not dialled");
};

TEST_F(WebSocketTest, CarriesMessagesOverTls) {
  const Certificate leaf = make_certificate("IP:127.0.0.1", &test_ca());
  const test::TemporaryFile ca(test_ca().certificate_pem());
  DialOptions options;
  options.ca_file = ca.path();
  options.headers = {{"X-Test", "value"}};
  connect(&leaf, options);
  ASSERT_TRUE(dialled_) << dial_error().text;
  EXPECT_EQ(accepted_.request.target(), "/prefix/v1/test");
  EXPECT_EQ(accepted_.request["X-Test"], "value");
  EXPECT_EQ(accepted_.request[http::field::host], "127.0.0.1:" + std::to_string(listening_.port()));

  Carrier* ends[2] = {dialled_->get(), accepted_.carrier.get()};
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{125}, std::size_t{65535},
                                 std::size_t{65536}, std::size_t{1} << 20}) {
    for (int from = 0; from < 2; ++from) {
      Bytes message(size);
      fill_random(message);
      Buffer buffer;
      Result<> wrote;
      Result<MessageType> got = MessageType::kText;
      run(io_, write_one(ends[from], MessageType::kBinary, message, &wrote),
          read_one(ends[1 - from], &buffer, &got));
      ASSERT_TRUE(wrote);
      ASSERT_EQ(got.value(), MessageType::kBinary);
      const auto* data = static_cast<const std::uint8_t*>(buffer.data().data());
      EXPECT_EQ(Bytes(data, data + buffer.size()), message);
    }
  }
  EXPECT_EQ(dialled_->get()->unsent_bytes(), 0U);
}

TEST_F(WebSocketTest, TellsTextFromBinary) {
  connect_plain();
  Buffer buffer;
  Result<> wrote;
  Result<MessageType> got = MessageType::kBinary;
  run(io_, write_one(dialled_->get(), MessageType::kText, Bytes{'p'}, &wrote),
      read_one(accepted_.carrier.get(), &buffer, &got));
  EXPECT_EQ(got.value(), MessageType::kText);
}

TEST_F(WebSocketTest, RefusesAnUntrustedCertificate) {
  const Certificate leaf = make_certificate("IP:127.0.0.1", &test_ca());
  connect(&leaf, {});
  EXPECT_EQ(dial_error().kind, ErrorKind::kUntrusted);
  EXPECT_NE(dial_error().text.find("--relay-ca"), std::string::npos);
  EXPECT_NE(dial_error().text.find("issuer"), std::string::npos) << dial_error().text;
  EXPECT_TRUE(accepted_.request.target().empty());
}

TEST_F(WebSocketTest, RefusesAnotherHostsCertificate) {
  const Certificate leaf = make_certificate("DNS:other.example,IP:127.0.0.9", &test_ca());
  const test::TemporaryFile ca(test_ca().certificate_pem());
  DialOptions options;
  options.ca_file = ca.path();
  connect(&leaf, options);
  EXPECT_EQ(dial_error().kind, ErrorKind::kUntrusted);
}

TEST_F(WebSocketTest, RefusesAnExpiredCertificate) {
  const Certificate leaf = make_certificate("IP:127.0.0.1", &test_ca(), -1);
  const test::TemporaryFile ca(test_ca().certificate_pem());
  DialOptions options;
  options.ca_file = ca.path();
  connect(&leaf, options);
  EXPECT_EQ(dial_error().kind, ErrorKind::kUntrusted);
  EXPECT_NE(dial_error().text.find("expired"), std::string::npos) << dial_error().text;
}

TEST_F(WebSocketTest, VerifiesTheNameThatSniNames) {
  const Certificate leaf = make_certificate("DNS:relay.example", &test_ca());
  const test::TemporaryFile ca(test_ca().certificate_pem());
  DialOptions options;
  options.ca_file = ca.path();
  options.sni = "relay.example";
  connect(&leaf, options);
  EXPECT_TRUE(dialled_) << dial_error().text;
}

TEST_F(WebSocketTest, APinAloneDecides) {
  const Certificate leaf = make_certificate("DNS:other.example", nullptr, -1);
  DialOptions options;
  options.pin = leaf.pin();
  connect(&leaf, options);
  EXPECT_TRUE(dialled_) << dial_error().text;
}

TEST_F(WebSocketTest, AWrongPinIsUntrustedWhateverTheChainSays) {
  const Certificate leaf = make_certificate("IP:127.0.0.1", &test_ca());
  const test::TemporaryFile ca(test_ca().certificate_pem());
  DialOptions options;
  options.ca_file = ca.path();
  options.pin = leaf.pin();
  (*options.pin)[31] ^= 1;
  connect(&leaf, options);
  EXPECT_EQ(dial_error().kind, ErrorKind::kUntrusted);
  EXPECT_NE(dial_error().text.find("pinned"), std::string::npos);
}

TEST_F(WebSocketTest, AnUnreadableCaFileIsAUsageError) {
  DialOptions options;
  options.ca_file = "/nonexistent/ca.pem";
  const Certificate leaf = make_certificate("IP:127.0.0.1", &test_ca());
  run(io_, dial_one(io_.get_executor(),
                    RelayUrl{.tls = true, .host = "127.0.0.1", .port = listening_.port(), .prefix = {}},
                    options, &dialled_));
  EXPECT_EQ(dial_error().kind, ErrorKind::kUsage);
}

TEST_F(WebSocketTest, SaysTheHttpStatus) {
  listening_.answer = Answer::kNotFound;
  connect(nullptr, {});
  EXPECT_EQ(dial_error().kind, ErrorKind::kRefused);
  EXPECT_EQ(dial_error().detail, 404);
}

TEST_F(WebSocketTest, GivesUpOnASilentServer) {
  listening_.answer = Answer::kSilence;
  DialOptions options;
  options.timeout = std::chrono::milliseconds(50);
  connect(nullptr, options);
  EXPECT_EQ(dial_error().kind, ErrorKind::kTimeout);
}

TEST_F(WebSocketTest, SaysThatNobodyListens) {
  const std::uint16_t port = listening_.port();
  listening_.acceptor.close();
  run(io_, dial_one(io_.get_executor(),
                    RelayUrl{.tls = false, .host = "127.0.0.1", .port = port, .prefix = {}}, {}, &dialled_));
  EXPECT_EQ(dial_error().kind, ErrorKind::kNetwork);
  EXPECT_EQ(dial_error().detail, ECONNREFUSED);
}

// localhost may have an IPv6 address that nobody listens on: the IPv4 one is tried then, at once.
TEST_F(WebSocketTest, TriesEveryAddressOfAName) {
  connect(nullptr, {}, "localhost");
  EXPECT_TRUE(dialled_) << dial_error().text;
}

TEST_F(WebSocketTest, RefusesHeadersThatSmuggle) {
  DialOptions options;
  options.headers = {{"X-Test", "a\r\nX-Other: b"}};
  run(io_, dial_one(io_.get_executor(), RelayUrl{}, options, &dialled_));
  EXPECT_EQ(dial_error().kind, ErrorKind::kUsage);
}

TEST_F(WebSocketTest, CloseCodesArrive) {
  connect_plain();
  Buffer buffer;
  Result<> closed;
  Result<MessageType> got = MessageType::kText;
  run(io_, close_one(accepted_.carrier.get(), 4403, &closed), read_one(dialled_->get(), &buffer, &got));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::kClosed);
  EXPECT_EQ(got.error().detail, 4403);
  EXPECT_TRUE(closed);
}

TEST_F(WebSocketTest, AMessageOverTheLimitEndsWith1009) {
  listening_.max_message_bytes = 1000;
  connect_plain();
  Buffer buffer;
  Buffer other;
  Result<> wrote;
  Result<MessageType> got = MessageType::kText;
  Result<MessageType> seen = MessageType::kText;
  run(io_, write_one(dialled_->get(), MessageType::kBinary, Bytes(1001), &wrote),
      read_one(accepted_.carrier.get(), &buffer, &got), read_one(dialled_->get(), &other, &seen));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::kLimit);
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().detail, 1009);
}

TEST_F(WebSocketTest, AbortEndsAReadOnBothSides) {
  connect_plain();
  Buffer buffer;
  Buffer other;
  Result<MessageType> got = MessageType::kText;
  Result<MessageType> seen = MessageType::kText;
  asio::post(io_, [this] { dialled_->get()->abort(); });
  run(io_, read_one(dialled_->get(), &buffer, &got), read_one(accepted_.carrier.get(), &other, &seen));
  ASSERT_FALSE(got);
  ASSERT_FALSE(seen);
  EXPECT_EQ(got.error().kind, ErrorKind::kClosed);
  EXPECT_EQ(seen.error().detail, 0);
  dialled_->get()->abort();
}

asio::awaitable<void> write_until_it_fails(Carrier* carrier, Result<>* out, int* written) {
  const Bytes message(1 << 20);
  while (true) {
    *out = co_await carrier->write(MessageType::kBinary, message);
    if (!*out) co_return;
    ++*written;
  }
}

// Nobody reads, so the writer gets stuck; abort() frees it.
TEST_F(WebSocketTest, AbortEndsAStuckWrite) {
  connect_plain();
  Result<> wrote;
  int written = 0;
  bool done = false;
  asio::co_spawn(io_, write_until_it_fails(dialled_->get(), &wrote, &written),
                 [&done](std::exception_ptr) { done = true; });
  while (io_.run_one_for(std::chrono::milliseconds(200)) != 0) {
  }
  EXPECT_FALSE(done);
  dialled_->get()->abort();
  io_.restart();
  while (!done && io_.run_one_for(test::kHangLimit) != 0) {
  }
  ASSERT_TRUE(done);
  EXPECT_FALSE(wrote);
}

TEST_F(WebSocketTest, CloseOfAConnectionThatIsGoneFails) {
  connect_plain();
  dialled_->get()->abort();
  Result<> closed;
  run(io_, close_one(dialled_->get(), 1000, &closed));
  EXPECT_FALSE(closed);
}

}  // namespace
}  // namespace zks::carrier
