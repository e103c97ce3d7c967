// SPDX-License-Identifier: MIT
#include "carrier/tls_stream.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::carrier {

asio::awaitable<ErrorCode> TlsStream::handshake() {
  constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
  for (;;) {
    ErrorCode ec;
    const bool over = engine_->handshake(ec);
    if (engine_->has_output()) {
      const auto [sent_ec, sent] = co_await asio::async_write(next_, engine_->take_output(), kTuple);
      engine_->output_sent();
      if (!ec) ec = sent_ec;
    }
    if (over || ec) co_return ec;
    const auto [read_ec, received] = co_await next_.async_read_some(engine_->input_space(), kTuple);
    engine_->add_input(received);
    if (read_ec == asio::error::eof) {
      engine_->end_input();
    } else if (read_ec) {
      co_return read_ec;
    }
  }
}

void TlsStream::send_last_output() noexcept {
  if (!engine_->has_output() || engine_->is_sending()) return;
  ErrorCode ignored;
  next_.socket().non_blocking(true, ignored);
  next_.socket().write_some(engine_->take_output(), ignored);
  engine_->output_sent();
}

void TlsStream::shut_down() noexcept {
  engine_->shut_down();
  send_last_output();
}

}  // namespace zks::carrier
