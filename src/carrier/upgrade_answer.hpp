// SPDX-License-Identifier: MIT
//
// The answer to an upgrade, looked at before Beast sees it: dial.cpp puts AnswerGate between Beast's
// WebSocket and the connection, and UpgradeAnswer decides. Beast 1.81 reads a refusal's whole body, and
// aborts when the last chunk of a chunked one comes in pieces; through the gate it meets status 101, which
// has no body, or an error.
//
// AnswerGate: on its stream's executor, lives in the WebSocket. UpgradeAnswer is shared with the reads.
#pragma once

#include <memory>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "carrier/carrier.hpp"

namespace zks::carrier {

using ErrorCode = boost::system::error_code;

class UpgradeAnswer {
 public:
  // Status line and fields together; a longer answer is http::error::header_limit.
  static constexpr std::size_t kMaxHeaderBytes = 8 * 1024;

  UpgradeAnswer();

  // The next bytes that came; not after an error, nor once accepted(). The error is
  // websocket::error::upgrade_declined for any status but 101, as soon as the last byte of the header is
  // there, and Beast's where the header is not HTTP. Bytes after the header are not looked at.
  ErrorCode take(asio::const_buffer bytes);

  bool accepted() const { return parser_.is_header_done() && status() == 101; }
  int status() const { return static_cast<int>(parser_.get().result_int()); }

 private:
  boost::beast::http::response_parser<boost::beast::http::empty_body> parser_;
  Buffer unparsed_;  // at most what one read brings, and kMaxHeaderBytes
  std::size_t parsed_bytes_ = 0;
};

// One read of the handshake: fails without a byte where the answer does.
template <class Next, class Buffers>
struct GatedRead {
  Next* next;  // used before the first suspension only
  Buffers buffers;
  std::shared_ptr<UpgradeAnswer> answer;
  bool started = false;

  template <class Self>
  void operator()(Self& self, ErrorCode ec = {}, std::size_t size = 0) {
    if (!started) {
      started = true;
      const Buffers into = buffers;  // self, and this with it, moves away
      next->async_read_some(into, std::move(self));
      return;
    }
    std::size_t left = size;
    for (auto it = asio::buffer_sequence_begin(buffers); !ec && left > 0; ++it) {
      const asio::const_buffer piece = asio::buffer(asio::const_buffer(*it), left);
      left -= piece.size();
      if (!answer->accepted()) ec = answer->take(piece);
    }
    self.complete(ec, ec ? 0 : size);
  }
};

template <class Next>
class AnswerGate {
 public:
  using next_layer_type = Next;
  using executor_type = typename Next::executor_type;

  AnswerGate(Next next, std::shared_ptr<UpgradeAnswer> answer)
      : next_(std::move(next)), answer_(std::move(answer)) {}

  executor_type get_executor() noexcept { return next_.get_executor(); }
  Next& next_layer() noexcept { return next_; }
  const Next& next_layer() const noexcept { return next_; }

  // Beast passes handlers, no other completion tokens.
  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (answer_ && answer_->accepted()) answer_.reset();
    if (!answer_) {
      next_.async_read_some(buffers, std::forward<Handler>(handler));
      return;
    }
    asio::async_compose<Handler, void(ErrorCode, std::size_t)>(
        GatedRead<Next, Buffers>{&next_, buffers, answer_}, handler, next_);
  }
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    next_.async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  Next next_;
  std::shared_ptr<UpgradeAnswer> answer_;  // until a read after it was accepted
};

// Beast finds this by its name when the closing handshake is over. RFC 6455, section 7.1.1 has a client wait
// for the server to hang up. A relay that takes its time would only hold the next lane back: the connection
// goes at once.
template <class Next, class Handler>
void async_teardown(boost::beast::role_type, AnswerGate<Next>& gate, Handler&& handler) {
  boost::beast::get_lowest_layer(gate).close();
  asio::post(gate.get_executor(),
             boost::beast::bind_front_handler(std::forward<Handler>(handler), ErrorCode{}));
}

}  // namespace zks::carrier
