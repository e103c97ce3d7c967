// SPDX-License-Identifier: MIT
//
// One HTTP request and its answer between a client and a stream. The request goes out in a coroutine of its
// own, since the answer may come before all of it: 100 (Continue), a refusal, or a server that answers as it
// reads. The same coroutine then watches the client, which may leave before an answer. http_door.hpp finds
// requests and streams for this.
//
// Bounds: a piece of kPieceBytes each way, and the answer's header. What is held back holds back the stream
// or the client. An answer may take its time, as a long poll does; a header or a line between chunks that has
// begun has `line_timeout` for the rest.
//
// Executor: the client's. Lifetime: shared by its coroutines.
#pragma once

#include <chrono>
#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "frontdoor/http_page.hpp"
#include "frontdoor/http_request.hpp"
#include "frontdoor/http_response.hpp"
#include "tunnel/connection.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

class HttpExchange : public std::enable_shared_from_this<HttpExchange> {
 public:
  static constexpr std::size_t kPieceBytes = 16 * 1024;

  enum class Outcome : std::uint8_t {
    kNext,      // the client may send another request, the destination take one
    kNextElse,  // the client may send another request, which needs a stream of its own
    kClose,     // the answer is complete, but the connection has to end
    kOver,      // the connection was ended, or spliced and then ended
    kUnused,    // the stream ended before any answer: one that was used before may do that at any time
  };

  // `is_closing` is asked when the answer comes: true when the client shall get no further one.
  HttpExchange(std::shared_ptr<tunnel::Connection> client, tunnel::StreamPtr stream, HttpRequest request,
               const bool& is_closing, std::chrono::milliseconds line_timeout);

  // `reused`: the stream has carried a request before, so its end before an answer is kUnused.
  static asio::awaitable<Outcome> run(std::shared_ptr<HttpExchange> self, bool reused);

 private:
  enum class Head : std::uint8_t { kComplete, kTooLarge, kLate, kEnded };
  struct UploadDone;

  static asio::awaitable<void> upload(std::shared_ptr<HttpExchange> self);
  static asio::awaitable<void> watch_client(std::shared_ptr<HttpExchange> self);
  static asio::awaitable<bool> send(std::shared_ptr<HttpExchange> self, Bytes bytes);
  bool take_piece(Bytes& out);

  static asio::awaitable<Head> receive_header(std::shared_ptr<HttpExchange> self);
  bool take_header();
  static asio::awaitable<Outcome> answer(std::shared_ptr<HttpExchange> self, bool reused);
  static asio::awaitable<Outcome> deliver(std::shared_ptr<HttpExchange> self, HttpResponse response);
  static asio::awaitable<bool> deliver_body(std::shared_ptr<HttpExchange> self, BodyFraming from,
                                            BodyFraming::Kind to);
  static asio::awaitable<Outcome> switch_protocols(std::shared_ptr<HttpExchange> self, HttpResponse response);
  static asio::awaitable<void> stop_upload(std::shared_ptr<HttpExchange> self);
  static asio::awaitable<Outcome> fail(std::shared_ptr<HttpExchange> self);
  std::optional<HttpResponse> read_response();
  StreamFailure failure() const;
  // Nothing of an answer came, and nothing of it went to the client.
  bool is_untouched() const { return received_.empty() && !answered_ && !bad_body_; }
  void watch_stream();
  void limit_line(bool begun);
  void limit_client_line(bool begun);

  std::shared_ptr<tunnel::Connection> client_;
  tunnel::StreamPtr stream_;
  HttpRequest request_;
  const bool& is_closing_;
  std::chrono::milliseconds line_timeout_;

  BodyReader body_;  // of the request
  bool client_line_begun_ = false;
  bool uploading_ = false;
  bool request_sent_ = false;
  bool stop_upload_ = false;
  bool bad_body_ = false;
  net::Wakeup upload_ended_;

  std::string received_;    // the answer's header, as far as it came
  bool answered_ = false;   // an answer has begun to go to the client
  bool receiving_ = false;  // and has not wholly come yet

  asio::steady_timer line_limit_;  // while a header or line of the answer has begun
  bool line_begun_ = false;
  bool late_ = false;  // it did not end in time
  std::uint64_t lines_begun_ = 0;
};

}  // namespace zks::frontdoor
