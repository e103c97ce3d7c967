// SPDX-License-Identifier: MIT
//
// Two engines, joined by the test: what one has to send is put into the other in pieces of the test's choice.
#include "carrier/tls_engine.hpp"

#include <numeric>

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <gtest/gtest.h>

#include "certificate.hpp"

namespace zks::carrier {
namespace {

namespace asio = boost::asio;
namespace ssl = asio::ssl;

constexpr std::size_t kRecord = 16 * 1024;

ssl::context server_context() {
  static const test::Certificate kCertificate = test::make_certificate("DNS:localhost");
  ssl::context context(ssl::context::tls_server);
  context.use_certificate_chain(asio::buffer(kCertificate.certificate_pem()));
  context.use_private_key(asio::buffer(kCertificate.key_pem()), ssl::context::pem);
  return context;
}

Bytes counting(std::size_t size) {
  Bytes out(size);
  std::iota(out.begin(), out.end(), std::uint8_t{0});
  return out;
}

// The records in ciphertext: a type, a version and a length in front of each (RFC 8446, section 5.1).
std::size_t count_records(ByteView wire) {
  std::size_t count = 0;
  while (wire.size() >= 5) {
    wire = wire.subspan(5 + load_be<std::uint16_t>(wire.data() + 3));
    ++count;
  }
  EXPECT_TRUE(wire.empty());
  return count;
}

class TlsEngineTest : public testing::Test {
 protected:
  static Bytes take(TlsEngine& from) {
    const asio::const_buffer output = from.take_output();
    const auto* data = static_cast<const std::uint8_t*>(output.data());
    Bytes out(data, data + output.size());
    from.output_sent();
    return out;
  }

  static void give(TlsEngine& to, ByteView wire) {
    to.add_input(wire);
    to.keep_input();
  }

  void shake_hands() {
    bool client_over = false, server_over = false;
    for (int i = 0; i < 20 && !(client_over && server_over); ++i) {
      ErrorCode ec;
      client_over = client_.handshake(ec);
      ASSERT_FALSE(ec) << ec.message();
      give(server_, take(client_));
      server_over = server_.handshake(ec);
      ASSERT_FALSE(ec) << ec.message();
      give(client_, take(server_));
    }
    ASSERT_TRUE(client_over && server_over);
  }

  // All plaintext that `wire` holds for `to`, which gets it in pieces of `size`.
  static Bytes drain(TlsEngine& to, ByteView wire, std::size_t size = 100'000) {
    Bytes out, room(70'000);
    for (ErrorCode ec; !ec;) {
      const std::size_t count = to.read(room, ec);
      out.insert(out.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(count));
      if (count > 0) continue;
      if (wire.empty()) break;
      const ByteView piece = wire.first(std::min(size, wire.size()));
      wire = wire.subspan(piece.size());
      give(to, piece);
    }
    return out;
  }

  static std::size_t write(TlsEngine& from, std::vector<ByteView> pieces) {
    ErrorCode ec;
    const std::size_t size = from.write(pieces, ec);
    EXPECT_FALSE(ec) << ec.message();
    return size;
  }

  ssl::context client_context_{ssl::context::tls_client};
  ssl::context server_context_ = server_context();
  TlsEngine client_{client_context_.native_handle(), TlsEngine::Role::kClient};
  TlsEngine server_{server_context_.native_handle(), TlsEngine::Role::kServer};
};

TEST_F(TlsEngineTest, CarriesPiecesOfAllSizes) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  for (const std::size_t size :
       {std::size_t{1}, kRecord - 1, kRecord, kRecord + 1, 4 * kRecord, 6 * kRecord + 5}) {
    for (const std::size_t header : {std::size_t{0}, std::size_t{1}, std::size_t{14}, kRecord}) {
      const Bytes head(header, 0xee);
      const Bytes body = counting(size);
      Bytes expected = head;
      expected.insert(expected.end(), body.begin(), body.end());
      ASSERT_EQ(write(client_, {head, body}), expected.size());
      ASSERT_EQ(drain(server_, take(client_), 1 + (header + size) / 3), expected)
          << size << " behind " << header;
    }
  }
}

TEST_F(TlsEngineTest, AFramesHeaderIsNoRecordOfItsOwn) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  const Bytes header(10), body(4 * kRecord - 10);
  write(server_, {header, body});
  EXPECT_EQ(count_records(take(server_)), 4);
  write(server_, {header, ByteView(body).first(100), ByteView(body).first(100)});
  EXPECT_EQ(count_records(take(server_)), 1);
}

TEST_F(TlsEngineTest, OneWriteTakesABoundedAmount) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  const Bytes body = counting(TlsEngine::kMostPlaintext - 10);
  EXPECT_EQ(write(client_, {body, body, body}), TlsEngine::kMostPlaintext);
  const Bytes got = drain(server_, take(client_));
  EXPECT_EQ(got.size(), TlsEngine::kMostPlaintext);
  EXPECT_EQ(got.back(), body[9]);
}

TEST_F(TlsEngineTest, AnIdleOneHoldsNoMemory) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  EXPECT_EQ(drain(client_, {}).size(), 0);
  client_.keep_input();
  const Bytes body = counting(TlsEngine::kMostPlaintext);
  write(client_, {body});
  EXPECT_GT(client_.held(), body.size());
  const Bytes wire = take(client_);
  EXPECT_EQ(client_.held(), 0);

  Bytes room(10);
  ErrorCode ec;
  give(server_, wire);
  EXPECT_EQ(server_.read(room, ec), 10);
  server_.keep_input();
  EXPECT_GT(server_.held(), 0) << "what was not read";
  EXPECT_EQ(drain(server_, {}).size(), body.size() - 10);
  server_.keep_input();
  EXPECT_EQ(server_.held(), 0);
}

TEST_F(TlsEngineTest, AnEndThatWasSaidIsToldFromOneThatWasNot) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  const Bytes body = counting(10);
  write(client_, {body});
  client_.shut_down();
  Bytes wire = take(client_);
  give(server_, wire);
  Bytes room(100);
  ErrorCode ec;
  EXPECT_EQ(server_.read(room, ec), 10);
  EXPECT_FALSE(ec);
  EXPECT_EQ(server_.read(room, ec), 0);
  EXPECT_EQ(ec, asio::error::eof);

  ec = {};
  EXPECT_EQ(client_.read(room, ec), 0);
  EXPECT_FALSE(ec);
  client_.end_input();
  EXPECT_EQ(client_.read(room, ec), 0);
  EXPECT_EQ(ec, ssl::error::stream_truncated);
}

TEST_F(TlsEngineTest, ChangedCiphertextIsRefused) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  const Bytes body = counting(100);
  write(client_, {body});
  Bytes wire = take(client_);
  wire[50] ^= 1;
  give(server_, wire);
  Bytes room(200);
  ErrorCode ec;
  EXPECT_EQ(server_.read(room, ec), 0);
  EXPECT_EQ(ec.category(), asio::error::get_ssl_category());
  EXPECT_TRUE(server_.has_output()) << "an alert";
}

TEST_F(TlsEngineTest, WhatIsNotTlsIsRefused) {
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  Bytes wire(request.begin(), request.end());
  give(server_, wire);
  ErrorCode ec;
  EXPECT_FALSE(server_.handshake(ec));
  EXPECT_EQ(ec.category(), asio::error::get_ssl_category());
}

TEST_F(TlsEngineTest, AnswersToKeyUpdatesAreBounded) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  Bytes room(100);
  ErrorCode ec;
  int updates = 0;
  for (; updates < 1'000 && !ec; ++updates) {
    ASSERT_EQ(SSL_key_update(client_.native_handle(), SSL_KEY_UPDATE_REQUESTED), 1);
    ErrorCode none;
    client_.handshake(none);  // seals the update
    Bytes wire = take(client_);
    server_.read(room, ec);
    give(server_, wire);
    server_.read(room, ec);
  }
  EXPECT_EQ(ec, asio::error::no_buffer_space);
  EXPECT_GT(updates, 10);
}

TEST_F(TlsEngineTest, AKeyUpdateIsAnsweredWithTheNextWrite) {
  ASSERT_NO_FATAL_FAILURE(shake_hands());
  ASSERT_EQ(SSL_key_update(client_.native_handle(), SSL_KEY_UPDATE_REQUESTED), 1);
  const Bytes body = counting(10);
  write(client_, {body});
  EXPECT_EQ(drain(server_, take(client_)), body);
  write(server_, {body});
  EXPECT_EQ(drain(client_, take(server_)), body);
}

}  // namespace
}  // namespace zks::carrier
