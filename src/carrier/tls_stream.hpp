// SPDX-License-Identifier: MIT
//
// TLS over a TCP connection, as the layer below Beast's WebSocket: TlsEngine's memory moved by a socket.
//
// Executor: the connection's. One read and one write may be outstanding at a time; the stream outlives them
// and is not moved meanwhile.
#pragma once

#include <array>
#include <memory>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/core/stream_traits.hpp>

#include "carrier/tls_engine.hpp"
#include "net/socket_options.hpp"
#include "net/turn.hpp"

namespace zks::carrier {

namespace asio = boost::asio;

class TlsStream {
 public:
  using next_layer_type = net::TcpStream;
  using executor_type = net::TcpStream::executor_type;

  TlsStream(net::TcpStream next, SSL_CTX* context, TlsEngine::Role role)
      : TlsStream(std::move(next), std::make_shared<TlsEngine>(context, role)) {}
  // Goes on with a connection's TLS; nothing of it is outstanding.
  TlsStream(net::TcpStream next, std::shared_ptr<TlsEngine> engine)
      : next_(std::move(next)), engine_(std::move(engine)), first_input_(std::make_unique<FirstInput>()) {}

  executor_type get_executor() noexcept { return next_.get_executor(); }
  net::TcpStream& next_layer() noexcept { return next_; }
  const net::TcpStream& next_layer() const noexcept { return next_; }
  SSL* native_handle() { return engine_->native_handle(); }
  const std::shared_ptr<TlsEngine>& engine() const { return engine_; }

  // The deadline is next_layer()'s. An alert is sent before a failure is reported.
  asio::awaitable<ErrorCode> handshake();
  // Tells the peer, as far as the kernel takes it at once, that nothing follows. Nothing is written
  // afterwards.
  void shut_down() noexcept;

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_compose<Token, void(ErrorCode, std::size_t)>(Read<Buffers>{this, buffers}, token,
                                                                    next_);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_compose<Token, void(ErrorCode, std::size_t)>(Write<Buffers>{this, buffers}, token,
                                                                    next_);
  }

 private:
  template <class Buffers>
  struct Read;
  template <class Buffers>
  struct Write;

  // What a connection waits with: enough for a small message.
  using FirstInput = std::array<std::uint8_t, 1024>;
  // With less room than this left, what came is handed on rather than asked for more.
  static constexpr std::size_t kWorthReceiving = 16 * 1024;

  // Up to as much ciphertext as `wanted` bytes of plaintext take is the engine's input now, of which `first`
  // bytes came already, in first_input_. All of it is in memory of the thread's until engine_->keep_input().
  void receive(std::size_t first, std::size_t wanted);
  // Sends what the kernel takes at once; what is left to send.
  asio::const_buffer send_now(asio::const_buffer output) noexcept;
  // Output that no write is to follow goes as far as the kernel takes it at once.
  void send_last_output() noexcept;

  net::TcpStream next_;
  std::shared_ptr<TlsEngine> engine_;
  std::unique_ptr<FirstInput> first_input_;
  bool more_ = false;  // the kernel had more than was asked for
};

template <class Buffers>
struct TlsStream::Read {
  TlsStream* stream;
  Buffers buffers;
  bool suspended = false;
  bool over = false;
  ErrorCode result{};
  std::size_t total = 0;

  template <class Self>
  void operator()(Self& self, ErrorCode ec = {}, std::size_t received = 0) {
    if (!over) take(ec, received);
    if (over && suspended) {
      net::Turn::run([&] { self.complete(result, total); });
      return;
    }
    suspended = true;
    TlsStream& from = *stream;  // self, and this with it, moves away
    if (over) {                 // never from within the call that began it
      net::Turn::after(from.get_executor(), std::move(self));
    } else {
      from.next_.async_read_some(asio::buffer(*from.first_input_), std::move(self));
    }
  }

  void take(ErrorCode ec, std::size_t received) {
    TlsEngine& engine = *stream->engine_;
    if (received > 0) stream->receive(received, asio::buffer_size(buffers));
    if (ec == asio::error::eof) engine.end_input();
    if (ec && ec != asio::error::eof) {
      result = ec;
    } else {
      read();
      const std::size_t room = asio::buffer_size(buffers) - total;
      if (!result && stream->more_ && (total == 0 || room >= kWorthReceiving)) {
        stream->receive(0, room);
        read();
      }
    }
    engine.keep_input();
    if (total > 0) result = {};  // told by the next read
    if (result) stream->send_last_output();
    over = total > 0 || result || asio::buffer_size(buffers) == 0;
  }

  // What the engine has, behind what was read before.
  void read() {
    std::size_t skipped = 0;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
      asio::mutable_buffer piece(*it);
      const std::size_t skip = std::min(piece.size(), total - skipped);
      skipped += skip;
      piece += skip;
      if (piece.size() == 0) continue;
      const std::size_t count =
          stream->engine_->read({static_cast<std::uint8_t*>(piece.data()), piece.size()}, result);
      total += count;
      skipped += count;
      if (result || count < piece.size()) break;
    }
  }
};

template <class Buffers>
struct TlsStream::Write {
  TlsStream* stream;
  Buffers buffers;
  bool suspended = false;
  ErrorCode result{};
  std::size_t total = 0;

  template <class Self>
  void operator()(Self& self, ErrorCode ec = {}, std::size_t = 0) {
    if (suspended) {
      stream->engine_->output_sent();
      net::Turn::run([&] { self.complete(result ? result : ec, result || ec ? 0 : total); });
      return;
    }
    suspended = true;
    seal();
    TlsStream& to = *stream;  // self, and this with it, moves away
    const asio::const_buffer left = result ? asio::const_buffer() : to.send_now(to.engine_->take_output());
    if (left.size() == 0) {
      net::Turn::after(to.get_executor(), std::move(self));
    } else {
      asio::async_write(to.next_, left, std::move(self));
    }
  }

  void seal() {
    std::array<ByteView, 8> pieces;
    std::size_t count = 0;
    for (auto it = asio::buffer_sequence_begin(buffers);
         it != asio::buffer_sequence_end(buffers) && count < pieces.size(); ++it) {
      const asio::const_buffer piece(*it);
      pieces[count++] = ByteView(static_cast<const std::uint8_t*>(piece.data()), piece.size());
    }
    total = stream->engine_->write(std::span(pieces).first(count), result);
  }
};

// As the one for TcpStream.
inline TlsStream move_to(const asio::any_io_executor& executor, TlsStream stream) {
  return {net::move_to(executor, std::move(stream.next_layer())), stream.engine()};
}

// Beast finds this by its name when the closing handshake is over: the notice of TLS, then as for TCP.
template <class Handler>
void async_teardown(boost::beast::role_type role, TlsStream& stream, Handler&& handler) {
  stream.shut_down();
  async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

}  // namespace zks::carrier
