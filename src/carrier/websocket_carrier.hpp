// SPDX-License-Identifier: MIT
//
// WebSocketCarrier: the Carrier over RFC 6455, for both ends, over TLS or plain TCP. dial.cpp makes the
// client's, accept.cpp the server's. No extensions: what is sent is sealed already and does not compress.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/websocket.hpp>

#include "carrier/carrier.hpp"
#include "carrier/segment_limits.hpp"
#include "carrier/tls_stream.hpp"
#include "carrier/upgrade_answer.hpp"

namespace zks::carrier {

template <class Stream>
using WebSocket = boost::beast::websocket::stream<Stream, /*deflateSupported=*/false>;

// RFC 6455's closing handshake, and the TLS and TCP ones below it, take at most this long together.
inline constexpr std::chrono::seconds kCloseTimeout{3};

// Limits and buffer sizes for a stream in either role; before its handshake.
template <class Stream>
void configure(WebSocket<Stream>& ws, std::size_t max_message_bytes, std::size_t write_buffer_bytes) {
  ws.auto_fragment(false);  // one message, one frame
  ws.write_buffer_bytes(write_buffer_bytes);
  ws.read_message_max(max_message_bytes);
}

// Liveness is the protocol's own matter (its pings, its idle limit): Beast's timer only bounds handshakes.
template <class Stream>
void set_handshake_timeout(WebSocket<Stream>& ws, std::chrono::milliseconds limit) {
  boost::beast::get_lowest_layer(ws).expires_never();  // Beast's WebSocket timer replaces the TCP stream's
  ws.set_option(boost::beast::websocket::stream_base::timeout{
      limit, boost::beast::websocket::stream_base::none(), /*keep_alive_pings=*/false});
}

Error to_error(const boost::system::error_code& ec, const boost::beast::websocket::close_reason& reason);

template <class Stream>
class WebSocketCarrier final : public Carrier {
 public:
  explicit WebSocketCarrier(WebSocket<Stream> ws) : ws_(std::move(ws)) {
    set_handshake_timeout(ws_, kCloseTimeout);
  }

  asio::any_io_executor executor() override { return ws_.get_executor(); }

  Task<MessageType> read(Buffer& buffer) override {
    buffer.clear();
    if (abandoned_) co_return broken();
    Operation reading(*this, calls_->read, calls_->write);
    auto [ec, size] = co_await ws_.async_read(buffer, reading.token());
    reading.over();
    if (ec) co_return to_error(ec, ws_.reason());
    co_return ws_.got_text() ? MessageType::kText : MessageType::kBinary;
  }

  Task<> write(MessageType type, ByteView message) override {
    if (abandoned_) co_return broken();
    ws_.text(type == MessageType::kText);
    const asio::const_buffer bytes(message.data(), message.size());
    Operation writing(*this, calls_->write, calls_->read);
    auto [ec, size] = co_await ws_.async_write(bytes, writing.token());
    writing.over();
    if (ec) co_return to_error(ec, ws_.reason());
    co_return Result<>();
  }

  Task<> close(std::uint16_t code) override {
    if (!ws_.is_open() || abandoned_) {
      abort();
      co_return make_error(ErrorKind::kClosed, "closed already");
    }
    const boost::beast::websocket::close_reason reason(code);
    Operation closing(*this, calls_->write, calls_->read);
    auto [ec] = co_await ws_.async_close(reason, closing.token());
    closing.over();
    abort();
    if (ec) co_return to_error(ec, ws_.reason());
    co_return Result<>();
  }

  void abort() noexcept override {
    try {
      boost::beast::get_lowest_layer(ws_).close();
    } catch (...) {  // cancelling a timer may throw by its signature; the socket is closed before it
    }
  }

  bool look_at_path(Silence silence) noexcept override {
    if (!segments_) return false;
    const auto state = net::tcp_state(boost::beast::get_lowest_layer(ws_).socket());
    return state && segments_->look(*state, silence);
  }

  void set_segments(SegmentWatch segments) { segments_.emplace(std::move(segments)); }

  void set_max_message(std::size_t bytes) { ws_.read_message_max(bytes); }

  std::size_t unsent_bytes() const noexcept override {
    return net::unacknowledged_bytes(boost::beast::get_lowest_layer(ws_).socket());
  }

  bool arriving() const noexcept override {
    return net::is_receiving(boost::beast::get_lowest_layer(ws_).socket());
  }

 private:
  // What one of a read and a write is woken by.
  struct Call {
    bool under_way = false;
    asio::cancellation_signal cancel = {};
  };
  struct Calls {
    Call read;
    Call write;  // or close
  };

  // Without memory an operation of Beast's is destroyed where it stands (on_end.hpp), and keeps the lock that
  // reads share with writes: whatever waits for it is woken here, and nothing begins any more.
  class Operation {
   public:
    Operation(WebSocketCarrier& carrier, Call& own, Call& other)
        : carrier_(carrier), own_(own), other_(other) {
      own_.under_way = true;
    }
    ~Operation() {
      own_.under_way = false;
      if (!over_) carrier_.abandoned(other_);
    }
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    auto token() {
      return asio::bind_cancellation_slot(own_.cancel.slot(), asio::as_tuple(asio::use_awaitable));
    }
    void over() { over_ = true; }

   private:
    WebSocketCarrier& carrier_;
    Call& own_;
    Call& other_;
    bool over_ = false;
  };

  static Error broken() { return make_error(ErrorKind::kClosed, "the connection broke: no memory"); }

  void abandoned(Call& other) noexcept {
    abandoned_ = true;
    abort();
    if (!other.under_way) return;
    try {
      asio::post(ws_.get_executor(), [calls = calls_, &other] {
        if (other.under_way) other.cancel.emit(asio::cancellation_type::terminal);
      });
    } catch (...) {  // not even that much memory: its owner's timers are left
    }
  }

  mutable WebSocket<Stream> ws_;
  std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
  bool abandoned_ = false;
  std::optional<SegmentWatch> segments_;
};

// Instantiated once, in websocket_carrier.cpp: each costs a minute of compile time with sanitizers.
extern template class WebSocketCarrier<net::TcpStream>;
extern template class WebSocketCarrier<TlsStream>;
extern template class WebSocketCarrier<AnswerGate<net::TcpStream>>;
extern template class WebSocketCarrier<AnswerGate<TlsStream>>;

}  // namespace zks::carrier
