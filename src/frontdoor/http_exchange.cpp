// SPDX-License-Identifier: MIT
#include "frontdoor/http_exchange.hpp"

#include <algorithm>
#include <cstring>
#include <exception>

#include <boost/asio/co_spawn.hpp>

#include "base/log_failure.hpp"
#include "base/token_bucket.hpp"
#include "frontdoor/http_fields.hpp"
#include "net/on_end.hpp"

namespace zks::frontdoor {
namespace {

using session::ResetCode;
using std::chrono::steady_clock;
using FramingKind = BodyFraming::Kind;

// However many a server sends while it works (RFC 9110, section 15.2), it needs no more of them at a time.
constexpr double kMaxInterimAnswersPerSecond = 256;

Bytes to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

}  // namespace

struct HttpExchange::UploadDone {
  std::shared_ptr<HttpExchange> self;

  void operator()(std::exception_ptr failure) const {
    self->uploading_ = false;
    self->upload_ended_.notify();
    if (!failure) return;
    log_failure(failure, "sending a request failed");
    self->client_->abort();
  }
};

HttpExchange::HttpExchange(std::shared_ptr<tunnel::Connection> client, tunnel::StreamPtr stream,
                           HttpRequest request, const bool& is_closing,
                           std::chrono::milliseconds line_timeout)
    : client_(std::move(client)),
      stream_(std::move(stream)),
      request_(std::move(request)),
      is_closing_(is_closing),
      line_timeout_(line_timeout),
      body_(request_.body),
      upload_ended_(client_->executor()),
      line_limit_(client_->executor()) {}

asio::awaitable<HttpExchange::Outcome> HttpExchange::run(std::shared_ptr<HttpExchange> self, bool reused) {
  self->client_->serve_with(self->stream_);
  // Who would send another request does not end its side while it waits: it is gone.
  const bool goes_on = self->request_.keep_alive;
  self->client_->watch(goes_on ? tunnel::Connection::End::kLeaves : tunnel::Connection::End::kMayHalfClose);
  self->watch_stream();
  self->uploading_ = true;
  asio::co_spawn(self->client_->executor(), upload(self),
                 net::OnEnd(self->client_->executor(), UploadDone{self}));
  const Outcome outcome = co_await answer(self, reused);
  self->stream_->on_reset({});
  self->limit_line(false);
  const bool cut_short = !self->request_sent_;
  co_await stop_upload(self);
  // Where the rest of a body would be taken for the next request.
  const bool next = outcome == Outcome::kNext || outcome == Outcome::kNextElse;
  if (next && cut_short) co_return Outcome::kClose;
  co_return outcome;
}

// A reader that never reads would wait for ever for the rest of an answer that was cut off.
void HttpExchange::watch_stream() {
  stream_->on_reset([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->receiving_) self->client_->reset();
  });
}

// --- the request ---

asio::awaitable<void> HttpExchange::upload(std::shared_ptr<HttpExchange> self) {
  Bytes header = to_bytes(std::exchange(self->request_.header, {}));
  bool sent = co_await send(self, std::move(header));
  while (sent && !self->body_.done() && !self->stop_upload_) {
    if (self->client_->input().empty()) {
      self->limit_client_line(self->body_.within_line());
      const bool more = co_await tunnel::Connection::read(self->client_);
      if (self->stop_upload_) co_return;
      if (!more) {  // half a request is none
        self->client_->abort();
        co_return;
      }
    }
    Bytes piece;
    if (!self->take_piece(piece)) {
      self->bad_body_ = true;
      tunnel::cancel(self->stream_, ResetCode::kCancelled);
      co_return;
    }
    if (!piece.empty()) self->limit_client_line(false);
    sent = co_await send(self, std::move(piece));
  }
  self->limit_client_line(false);
  self->request_sent_ = sent && self->body_.done();
  if (self->request_sent_) co_await watch_client(self);
}

// While the answer is awaited only this notices that the client leaves. What it sends meanwhile is kept for
// the next request.
asio::awaitable<void> HttpExchange::watch_client(std::shared_ptr<HttpExchange> self) {
  bool more = true;
  while (more && !self->stop_upload_ && !self->client_->input_full()) {
    more = co_await tunnel::Connection::read(self->client_);
  }
  if (more || self->stop_upload_ || self->client_->gone()) co_return;
  // From one that has said that this is its last, an end may be an orderly one, and the destination sees what
  // it would see directly.
  if (self->request_.keep_alive) {
    self->client_->abort();
  } else {
    self->stream_->finish();
  }
}

// A client that has begun a line between chunks and does not end it is ended.
void HttpExchange::limit_client_line(bool begun) {
  if (std::exchange(client_line_begun_, begun) == begun) return;
  if (begun) {
    client_->limit_time(line_timeout_);
  } else {
    client_->lift_limit();
  }
}

// Moves what there is of the body from the client's input to `out`, framed anew. False when it is not chunked
// as it should be.
bool HttpExchange::take_piece(Bytes& out) {
  ByteView input = client_->input();
  out = reframe(body_, input, request_.body.kind);
  client_->take(client_->input().size() - input.size());
  return !body_.failed();
}

asio::awaitable<bool> HttpExchange::send(std::shared_ptr<HttpExchange> self, Bytes bytes) {
  ByteView rest(bytes);
  while (!rest.empty()) {
    if (self->stop_upload_ || self->stream_->reset_code()) co_return false;
    std::array<MutableBytes, 4> pieces;
    if (self->stream_->prepare(rest.size(), pieces) == 0) {
      co_await self->stream_->room().wait();
      continue;
    }
    const std::size_t size = std::min(rest.size(), pieces[0].size());
    std::memcpy(pieces[0].data(), rest.data(), size);
    self->stream_->commit(size);
    rest = rest.subspan(size);
  }
  co_return true;
}

asio::awaitable<void> HttpExchange::stop_upload(std::shared_ptr<HttpExchange> self) {
  self->stop_upload_ = true;
  self->client_->stop_waiting();
  self->stream_->room().notify();
  while (self->uploading_) co_await self->upload_ended_.wait();
}

// --- the answer ---

asio::awaitable<HttpExchange::Outcome> HttpExchange::answer(std::shared_ptr<HttpExchange> self, bool reused) {
  std::optional<HttpResponse> response;
  TokenBucket interim(kMaxInterimAnswersPerSecond, kMaxInterimAnswersPerSecond, steady_clock::now());
  while (true) {
    const Head head = co_await receive_header(self);
    if (self->client_->gone()) co_return Outcome::kOver;
    // Not told from a connection that the destination closed before it saw the request. What must not be sent
    // twice is for the client to try again: it sees its own connection end without an answer.
    if (head == Head::kEnded && reused && self->is_untouched())
      co_return self->request_.repeatable ? Outcome::kUnused : Outcome::kClose;
    if (head == Head::kComplete) response = self->read_response();
    if (!response) break;
    self->received_ = std::string();  // which gives its memory back
    if (!response->is_interim()) break;
    if (!interim.try_take(1, steady_clock::now())) {
      response.reset();
      break;
    }
    Bytes header = to_bytes(response->header);
    response.reset();
    if (header.empty()) continue;
    self->answered_ = true;  // too late for another stream, though not for an error page
    const bool written = co_await tunnel::Connection::write(self->client_, std::move(header));
    if (!written) co_return Outcome::kOver;
  }
  Outcome outcome{};
  if (!response) {
    outcome = co_await fail(self);
  } else if (response->status == kSwitchingProtocols) {
    outcome = co_await switch_protocols(self, std::move(*response));
  } else {
    outcome = co_await deliver(self, std::move(*response));
  }
  co_return outcome;
}

std::optional<HttpResponse> HttpExchange::read_response() {
  const bool closing = is_closing_ || !body_.done();
  return read_http_response(received_, request_, closing);
}

// Reads up to the end of the header and not a byte further: what follows may be another protocol's.
asio::awaitable<HttpExchange::Head> HttpExchange::receive_header(std::shared_ptr<HttpExchange> self) {
  while (true) {
    const bool complete = self->take_header();
    self->limit_line(!complete && !self->received_.empty());
    if (complete) co_return Head::kComplete;
    if (self->received_.size() >= kMaxResponseHeaderBytes) co_return Head::kTooLarge;
    if (self->stream_->reset_code() || self->stream_->at_end()) co_return Head::kEnded;
    if (self->late_) co_return Head::kLate;
    co_await self->stream_->readable().wait();
  }
}

// What has begun has to end in time. Each call with another value than before begins anew.
void HttpExchange::limit_line(bool begun) {
  if (std::exchange(line_begun_, begun) == begun) return;
  late_ = false;
  line_limit_.expires_after(line_timeout_);  // which ends the wait before
  if (!begun) return;
  // A handler that is queued already can't be cancelled, so it looks whether it still is the last.
  line_limit_.async_wait(
      [weak = weak_from_this(), number = ++lines_begun_](const boost::system::error_code& ec) {
        const auto self = weak.lock();
        if (ec || !self || !self->line_begun_ || self->lines_begun_ != number) return;
        self->late_ = true;
        self->stream_->readable().notify();
      });
}

// True when the header is complete.
bool HttpExchange::take_header() {
  while (true) {
    std::array<ByteView, 8> pieces;
    if (stream_->peek(pieces) == 0) return false;
    const std::size_t before = received_.size();
    const std::size_t size = std::min(pieces[0].size(), kMaxResponseHeaderBytes - before);
    if (size == 0) return false;
    received_.append(as_text(pieces[0].first(size)));
    const std::size_t end = header_bytes(received_, before);
    if (end > 0) received_.resize(end);
    stream_->consume(received_.size() - before);
    if (end > 0) return true;
  }
}

asio::awaitable<HttpExchange::Outcome> HttpExchange::deliver(std::shared_ptr<HttpExchange> self,
                                                             HttpResponse response) {
  self->answered_ = true;
  self->receiving_ = !BodyReader(response.body).done();
  Bytes header = to_bytes(std::exchange(response.header, {}));
  bool complete = co_await tunnel::Connection::write(self->client_, std::move(header));
  if (complete) complete = co_await deliver_body(self, response.body, response.sent.kind);
  self->receiving_ = false;
  if (!complete) {
    tunnel::cancel(self->stream_, ResetCode::kCancelled);
    self->client_->reset();  // so that it can't be taken for the whole
    co_return Outcome::kOver;
  }
  if (self->stream_->at_end()) {
    self->stream_->finish();
    self->stream_->consume_end();
    response.reusable = false;
  }
  if (!response.keep_alive) co_return Outcome::kClose;
  co_return response.reusable ? Outcome::kNext : Outcome::kNextElse;
}

// False when it was cut off, at either side.
asio::awaitable<bool> HttpExchange::deliver_body(std::shared_ptr<HttpExchange> self, BodyFraming from,
                                                 BodyFraming::Kind to) {
  BodyReader body(from, BodyReader::LineEnd::kLfToo);
  while (!body.done()) {
    std::array<ByteView, 8> pieces;
    if (self->stream_->peek(pieces) == 0) {
      if (self->stream_->reset_code() || self->client_->gone() || self->late_) co_return false;
      if (self->stream_->at_end()) {
        body.end();
        if (body.failed()) co_return false;
        break;
      }
      self->limit_line(body.within_line());
      co_await self->stream_->readable().wait();
      continue;
    }
    ByteView input = pieces[0].first(std::min(pieces[0].size(), kPieceBytes));
    const std::size_t offered = input.size();
    Bytes piece = reframe(body, input, to);
    self->stream_->consume(offered - input.size());
    if (body.failed()) co_return false;
    if (!piece.empty()) self->limit_line(false);
    self->receiving_ = !body.done();
    const bool written = co_await tunnel::Connection::write(self->client_, std::move(piece));
    if (!written) co_return false;
  }
  co_return true;
}

asio::awaitable<HttpExchange::Outcome> HttpExchange::switch_protocols(std::shared_ptr<HttpExchange> self,
                                                                      HttpResponse response) {
  co_await stop_upload(self);  // it has nothing left to send, as such a request has no body
  self->stream_->on_reset({});
  Bytes header = to_bytes(response.header);
  const bool written = co_await tunnel::Connection::write(self->client_, std::move(header));
  if (written) co_await tunnel::Connection::splice(self->client_, self->stream_);
  co_return Outcome::kOver;
}

asio::awaitable<HttpExchange::Outcome> HttpExchange::fail(std::shared_ptr<HttpExchange> self) {
  const StreamFailure failure = self->failure();
  co_await stop_upload(self);
  tunnel::cancel(self->stream_, ResetCode::kCancelled);
  if (self->client_->gone()) co_return Outcome::kOver;
  Bytes page = error_page(failure.status, failure.text, {self->request_.is_head, false});
  co_await tunnel::Connection::refuse(self->client_, std::move(page));
  co_return Outcome::kOver;
}

// Why there is no answer to pass on.
StreamFailure HttpExchange::failure() const {
  if (bad_body_) return {400, "The request's body is not chunked as HTTP has it."};
  if (stream_->reset_code()) return describe_failure(*stream_->reset_code());
  if (late_) return {504, "The destination began its answer and did not end the header in time."};
  if (stream_->at_end() && received_.empty()) return describe_failure(ResetCode::kConnectionReset);
  return {502, "What the destination answered is not HTTP, or can be read in more than one way."};
}

}  // namespace zks::frontdoor
