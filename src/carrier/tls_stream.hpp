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

#include "carrier/socket_options.hpp"
#include "carrier/tls_engine.hpp"

namespace zks::carrier {

namespace asio = boost::asio;

class TlsStream {
 public:
  using next_layer_type = TcpStream;
  using executor_type = TcpStream::executor_type;

  TlsStream(TcpStream next, SSL_CTX* context, TlsEngine::Role role)
      : TlsStream(std::move(next), std::make_shared<TlsEngine>(context, role)) {}
  // Goes on with a connection's TLS; nothing of it is outstanding.
  TlsStream(TcpStream next, std::shared_ptr<TlsEngine> engine)
      : next_(std::move(next)), engine_(std::move(engine)) {}

  executor_type get_executor() noexcept { return next_.get_executor(); }
  TcpStream& next_layer() noexcept { return next_; }
  const TcpStream& next_layer() const noexcept { return next_; }
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

  // Output that no write is to follow goes as far as the kernel takes it at once.
  void send_last_output() noexcept;

  TcpStream next_;
  std::shared_ptr<TlsEngine> engine_;
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
    if (!over && suspended && ec && ec != asio::error::eof) finish(ec);
    if (!over && suspended) {
      stream->engine_->add_input(received);
      if (ec) stream->engine_->end_input();
    }
    if (!over) take();
    if (over && suspended) {
      self.complete(result, total);
      return;
    }
    suspended = true;
    TlsStream& from = *stream;  // self, and this with it, moves away
    if (over) {                 // never from within the call that began it
      asio::post(from.get_executor(), std::move(self));
    } else {
      from.next_.async_read_some(from.engine_->input_space(), std::move(self));
    }
  }

  void take() {
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
      const asio::mutable_buffer piece(*it);
      if (piece.size() == 0) continue;
      const std::size_t count =
          stream->engine_->read({static_cast<std::uint8_t*>(piece.data()), piece.size()}, result);
      total += count;
      if (result || count < piece.size()) break;
    }
    if (total > 0) result = {};  // told by the next read
    if (result) stream->send_last_output();
    over = total > 0 || result || asio::buffer_size(buffers) == 0;
  }

  void finish(ErrorCode ec) {
    result = ec;
    over = true;
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
      if (!result) stream->engine_->output_sent();
      self.complete(result ? result : ec, result || ec ? 0 : total);
      return;
    }
    suspended = true;
    seal();
    TlsStream& to = *stream;  // self, and this with it, moves away
    if (result || !to.engine_->has_output()) {
      asio::post(to.get_executor(), std::move(self));
    } else {
      asio::async_write(to.next_, to.engine_->take_output(), std::move(self));
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
  return {move_to(executor, std::move(stream.next_layer())), stream.engine()};
}

// Beast finds this by its name when the closing handshake is over: the notice of TLS, then as for TCP.
template <class Handler>
void async_teardown(boost::beast::role_type role, TlsStream& stream, Handler&& handler) {
  stream.shut_down();
  async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

}  // namespace zks::carrier
