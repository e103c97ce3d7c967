// SPDX-License-Identifier: MIT
//
// What servers answer to an upgrade, whole and in pieces: to UpgradeAnswer alone, and to dial() over
// loopback.
#include "carrier/upgrade_answer.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/websocket/error.hpp>
#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "carrier/dial.hpp"
#include "carrier/websocket_carrier.hpp"
#include "net/as_tuple.hpp"

namespace zks::carrier {
namespace {

namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using net::kTuple;
using test::run;

const std::string kUpgraded =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const std::string kChunked = "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n";

ErrorCode take(UpgradeAnswer& answer, std::string_view bytes) {
  return answer.take(asio::buffer(bytes.data(), bytes.size()));
}

// Byte by byte, until an error or an acceptance; how many were taken is in `taken`.
ErrorCode take_singly(UpgradeAnswer& answer, std::string_view bytes, std::size_t* taken) {
  ErrorCode ec;
  for (*taken = 0; *taken < bytes.size() && !ec && !answer.accepted(); ++*taken)
    ec = take(answer, bytes.substr(*taken, 1));
  return ec;
}

TEST(UpgradeAnswer, Accepts101WithItsLastByte) {
  for (std::size_t cut = 1; cut < kUpgraded.size(); ++cut) {
    UpgradeAnswer answer;
    ASSERT_FALSE(take(answer, kUpgraded.substr(0, cut)));
    ASSERT_FALSE(answer.accepted()) << cut;
    ASSERT_FALSE(take(answer, kUpgraded.substr(cut) + "\x82\x01x"));
    ASSERT_TRUE(answer.accepted()) << cut;
  }
}

TEST(UpgradeAnswer, DeclinesAnyOtherStatusWithTheLastByteOfItsHeader) {
  for (const int status : {100, 103, 200, 204, 301, 304, 401, 403, 429, 503, 999}) {
    for (const std::string fields :
         {"", "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n",
          "Content-Length: 18446744073709551615\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n"}) {
      const std::string text = "HTTP/1.1 " + std::to_string(status) + " No\r\n" + fields + "\r\n";
      UpgradeAnswer answer;
      std::size_t taken = 0;
      EXPECT_EQ(take_singly(answer, text + "0\r\n\r\n", &taken), websocket::error::upgrade_declined) << text;
      EXPECT_EQ(taken, text.size()) << text;
      EXPECT_EQ(answer.status(), status);
      EXPECT_FALSE(answer.accepted());
    }
  }
}

// No byte in the place of another makes an answer that is 101 for this class and a body for Beast.
TEST(UpgradeAnswer, EveryByteChanged) {
  for (const std::string& text : {kUpgraded, kChunked}) {
    for (std::size_t at = 0; at < text.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string changed = text;
        changed[at] = static_cast<char>(value);
        UpgradeAnswer whole;
        UpgradeAnswer split;
        std::size_t taken = 0;
        const ErrorCode ec = take(whole, changed);
        const ErrorCode split_ec = take_singly(split, changed, &taken);
        ASSERT_EQ(whole.accepted(), split.accepted()) << at << ' ' << value;
        ASSERT_FALSE(ec && whole.accepted()) << at << ' ' << value;
        // In pieces Beast waits for the header's end before it says what is wrong.
        ASSERT_FALSE(split_ec && !ec) << at << ' ' << value;
      }
    }
  }
}

// Beast's own limit is for what it parses at once: each piece of this ends a field and begins the next.
TEST(UpgradeAnswer, BoundsTheHeaderHoweverItComes) {
  const std::string line = "HTTP/1.1 101 Switching Protocols\r\n";
  const std::string field = ": " + std::string(90, 'x') + "\r\nX-Field";
  for (const std::size_t piece : {std::size_t{1}, field.size(), std::size_t{1536}, std::size_t{65536}}) {
    std::string text;
    while (text.size() < 2 * UpgradeAnswer::kMaxHeaderBytes) text += field;
    UpgradeAnswer answer;
    ErrorCode ec = take(answer, line + "X-Field");
    std::size_t at = 0;
    for (; at < text.size() && !ec; at += piece) ec = take(answer, text.substr(at, piece));
    EXPECT_EQ(ec, http::error::header_limit) << piece;
    EXPECT_LE(at, UpgradeAnswer::kMaxHeaderBytes + piece);
  }
  const std::string rest = "X: ";
  std::string fits = line + rest;
  fits += std::string(UpgradeAnswer::kMaxHeaderBytes - fits.size() - 4, 'x') + "\r\n\r\n";
  std::size_t taken = 0;
  UpgradeAnswer full;
  EXPECT_FALSE(take_singly(full, fits, &taken));
  EXPECT_TRUE(full.accepted());
  UpgradeAnswer over;
  EXPECT_EQ(take(over, fits.insert(line.size() + rest.size(), "x")), http::error::header_limit);
}

// ---- dial() against a server that answers in pieces

// Long enough for the other coroutine to have read what loopback delivered: the reactor is asked between
// turns.
asio::awaitable<void> let_it_be_read() {
  for (int turn = 0; turn < 8; ++turn) co_await asio::post(asio::use_awaitable);
}

asio::awaitable<void> answer_in_pieces(tcp::acceptor* acceptor, std::vector<std::string> pieces) {
  auto [ec, socket] = co_await acceptor->async_accept(kTuple);
  if (ec) co_return;
  std::string request;
  auto [read_ec, size] =
      co_await asio::async_read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n", kTuple);
  if (read_ec) co_return;
  socket.set_option(tcp::no_delay(true));
  for (const std::string& piece : pieces) {
    // A client that has heard enough closes.
    auto [write_ec, written] = co_await asio::async_write(socket, asio::buffer(piece), kTuple);
    if (write_ec) co_return;
    co_await let_it_be_read();
  }
}

asio::awaitable<void> dial_one(asio::any_io_executor executor, std::uint16_t port, Result<CarrierPtr>* out) {
  const RelayUrl url{.tls = false, .host = "127.0.0.1", .port = port, .prefix = {}};
  const DialOptions options;
  const std::string target = "/v1/test";
  *out = co_await dial(executor, url, target, options);
}

Error dial_error(const std::vector<std::string>& pieces) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  Result<CarrierPtr> dialled = make_error(ErrorKind::kIo, "not dialled");
  run(io, answer_in_pieces(&acceptor, pieces),
      dial_one(io.get_executor(), acceptor.local_endpoint().port(), &dialled));
  return dialled ? Error{} : dialled.error();
}

// The last chunk in pieces of less than five bytes aborted Beast 1.81.
TEST(DialAnswer, SurvivesALastChunkInPieces) {
  for (const std::vector<std::string>& body : {std::vector<std::string>{"0\r\n", "\r", "\n"},
                                               {"0\r\n", "\r\n"},
                                               {"0", "\r", "\n", "\r", "\n"},
                                               {"1\r\na\r\n0\r\n", "\r", "\n"},
                                               {"0;a\r\n", "X", ": y\r\n\r\n"}}) {
    std::vector<std::string> apart{kChunked};
    apart.insert(apart.end(), body.begin(), body.end());
    std::vector<std::string> joined = body;
    joined.front().insert(0, kChunked);
    for (const auto& pieces : {apart, joined}) {
      const Error error = dial_error(pieces);
      EXPECT_EQ(error.kind, ErrorKind::kRefused) << error.text;
      EXPECT_EQ(error.detail, 403);
    }
  }
}

TEST(DialAnswer, SaysTheStatusHoweverTheAnswerIsSplit) {
  const std::string text = kChunked + "0\r\n\r\n";
  for (std::size_t first = 1; first < text.size(); ++first) {
    for (const std::size_t next : {std::size_t{1}, std::size_t{3}, text.size()}) {
      const std::size_t second = std::min(first + next, text.size());
      const Error error =
          dial_error({text.substr(0, first), text.substr(first, second - first), text.substr(second)});
      ASSERT_EQ(error.kind, ErrorKind::kRefused) << first << ' ' << error.text;
      ASSERT_EQ(error.detail, 403);
    }
  }
}

TEST(DialAnswer, ReadsNoBody) {
  const Error error = dial_error({"HTTP/1.1 503 Full\r\nContent-Length: 99999999999\r\n\r\n", "wait"});
  EXPECT_EQ(error.kind, ErrorKind::kRefused) << error.text;
  EXPECT_EQ(error.detail, 503);
}

TEST(DialAnswer, IsNotAWebSocketServers) {
  for (const std::string& text : {std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string("\0\r\n\r\n", 5),
                                  kUpgraded, "HTTP/1.1 403 No\r\nX: " + std::string(9000, 'x') + "\r\n\r\n",
                                  std::string("HTTP/1.1 403 No\r\n"), std::string()}) {
    const Error error = dial_error({text});
    EXPECT_EQ(error.kind, ErrorKind::kNetwork) << text << error.text;
  }
}

// ---- a server that closes and does not hang up

asio::awaitable<void> close_and_stay(tcp::acceptor* acceptor, bool* hung_up) {
  auto [ec, socket] = co_await acceptor->async_accept(kTuple);
  if (ec) co_return;
  websocket::stream<tcp::socket> ws(std::move(socket));
  auto [upgrade_ec] = co_await ws.async_accept(kTuple);
  if (upgrade_ec) co_return;
  const std::string close_4000 = "\x88\x02\x0f\xa0";
  co_await asio::async_write(ws.next_layer(), asio::buffer(close_4000), kTuple);
  std::string rest;
  co_await asio::async_read(ws.next_layer(), asio::dynamic_buffer(rest), kTuple);  // the client's end
  *hung_up = true;
}

asio::awaitable<void> read_until_closed(asio::any_io_executor executor, std::uint16_t port, Error* error,
                                        std::chrono::steady_clock::duration* took) {
  Result<CarrierPtr> dialled = make_error(ErrorKind::kIo, "not dialled");
  co_await dial_one(executor, port, &dialled);
  if (!dialled) co_return;
  const auto began = std::chrono::steady_clock::now();
  Buffer buffer;
  const auto got = co_await (*dialled)->read(buffer);
  *took = std::chrono::steady_clock::now() - began;
  if (!got) *error = got.error();
}

TEST(DialAnswer, AClosedLaneEndsWithoutTheServersHangingUp) {
  asio::io_context io;
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  Error error;
  bool hung_up = false;
  std::chrono::steady_clock::duration took{};
  run(io, close_and_stay(&acceptor, &hung_up),
      read_until_closed(io.get_executor(), acceptor.local_endpoint().port(), &error, &took));
  EXPECT_EQ(error.detail, 4000) << error.text;
  EXPECT_TRUE(hung_up);
  EXPECT_LT(took, kCloseTimeout / 2) << "it waited for the server";
}

}  // namespace
}  // namespace zks::carrier
