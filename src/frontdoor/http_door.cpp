// SPDX-License-Identifier: MIT
#include "frontdoor/http_door.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "frontdoor/http_exchange.hpp"
#include "frontdoor/http_fields.hpp"
#include "frontdoor/http_page.hpp"
#include "net/spawn.hpp"

namespace zks::frontdoor {
namespace {

using Outcome = HttpExchange::Outcome;
using RequestKind = HttpRequest::Kind;

static_assert(kMaxRequestHeaderBytes <= tunnel::Connection::kMaxInputBytes);

constexpr std::chrono::milliseconds kLeaveTime{1000};
constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection established\r\n\r\n";

// The stream that is kept for the next request.
struct Kept {
  tunnel::StreamPtr stream;
  session::Destination destination;

  // A stream that ended or was sent something unasked meanwhile is of no use. Whether a request may be sent
  // twice does not matter: logins that belong to a connection need the same one for any method (RFC 4559,
  // section 6). It is the client connection's alone.
  bool serves(const HttpRequest& request) const {
    std::array<ByteView, 8> pieces;
    return stream && destination == request.destination && !stream->reset_code() && !stream->at_end() &&
           stream->peek(pieces) == 0;
  }
};

// One client and what belongs to it.
struct ClientConnection {
  std::shared_ptr<tunnel::Connection> client;
  HttpDoor door;
  Kept kept;

  bool may_continue(const HttpRequest& request) const {
    return request.keep_alive && BodyReader(request.body).done() && !door.stopping;
  }
  std::string address() const {
    const auto local = client->local_endpoint();
    return format_host_port(local.address().to_string(), local.port());
  }
};

bool is_line_end(std::uint8_t byte) {
  return byte == '\r' || byte == '\n';
}

enum class Header : std::uint8_t { kComplete, kTooLarge, kEnded };

// Empty lines before a request are skipped (RFC 9112, section 2.2).
void skip_blank(tunnel::Connection& client) {
  const ByteView input = client.input();
  client.take(
      static_cast<std::size_t>(std::find_if_not(input.begin(), input.end(), is_line_end) - input.begin()));
}

asio::awaitable<Header> read_header(std::shared_ptr<tunnel::Connection> client) {
  while (true) {
    skip_blank(*client);
    if (header_bytes(as_text(client->input())) > 0) co_return Header::kComplete;
    if (client->input_full()) co_return Header::kTooLarge;
    const bool more = co_await tunnel::Connection::read(client);
    if (!more) co_return Header::kEnded;
  }
}

// The second and later headers: the client has a place among those that have not said what they want.
asio::awaitable<Header> read_next_header(std::shared_ptr<ClientConnection> self) {
  if (self->door.stopping || self->client->gone()) co_return Header::kEnded;
  const auto membership = self->door.handshakes.enter_for_oldest(self->client);
  skip_blank(*self->client);
  // The time limit ends the client; leave() ends the stream, in order.
  self->client->serve_with(nullptr);
  self->client->limit_time(self->door.idle_timeout);
  while (self->client->input().empty()) {
    const bool begun = co_await tunnel::Connection::read(self->client);
    if (!begun) co_return Header::kEnded;
    skip_blank(*self->client);
  }
  self->client->limit_time(self->door.header_timeout);
  const Header header = co_await read_header(self->client);
  co_return header;
}

// True when another request may follow.
asio::awaitable<bool> say(std::shared_ptr<tunnel::Connection> client, Bytes page, bool keep_alive) {
  bool sent = false;
  if (keep_alive) {
    sent = co_await tunnel::Connection::write(client, std::move(page));
  } else {
    co_await tunnel::Connection::refuse(client, std::move(page));
  }
  co_return sent;
}

asio::awaitable<void> serve_connect(std::shared_ptr<ClientConnection> self, HttpRequest request) {
  tunnel::OpenOutcome outcome = co_await tunnel::Connection::open(
      self->client, self->door.opener, std::move(request.destination), tunnel::Connection::End::kLeaves);
  if (self->client->gone()) co_return;
  if (!outcome.stream) {
    const StreamFailure failure = describe_failure(outcome.code);
    Bytes page = error_page(failure.status, failure.text, {});
    co_await tunnel::Connection::refuse(self->client, std::move(page));
    co_return;
  }
  Bytes established(kEstablished.begin(), kEstablished.end());
  const bool sent = co_await tunnel::Connection::write(self->client, std::move(established));
  if (sent) {
    co_await tunnel::Connection::splice(self->client, std::move(outcome.stream));
  } else {
    tunnel::cancel(outcome.stream, session::ResetCode::kCancelled);
  }
}

asio::awaitable<Outcome> exchange_over(std::shared_ptr<ClientConnection> self, tunnel::StreamPtr stream,
                                       HttpRequest request, bool reused) {
  session::Destination destination = request.destination;
  const auto exchange = std::make_shared<HttpExchange>(self->client, stream, std::move(request),
                                                       self->door.stopping, self->door.line_timeout);
  const Outcome outcome = co_await HttpExchange::run(exchange, reused);
  if (outcome == Outcome::kNext) self->kept = {std::move(stream), std::move(destination)};
  co_return outcome;
}

asio::awaitable<Outcome> exchange_anew(std::shared_ptr<ClientConnection> self, HttpRequest request) {
  tunnel::OpenOutcome outcome = co_await tunnel::Connection::open(
      self->client, self->door.opener, request.destination, tunnel::Connection::End::kMayHalfClose);
  if (self->client->gone()) co_return Outcome::kOver;
  if (outcome.stream) {
    const Outcome ended = co_await exchange_over(self, std::move(outcome.stream), std::move(request), false);
    co_return ended;
  }
  const StreamFailure failure = describe_failure(outcome.code);
  const PageOptions options{request.is_head, self->may_continue(request)};
  Bytes page = error_page(failure.status, failure.text, options);
  const bool next = co_await say(self->client, std::move(page), options.keep_alive);
  co_return next ? Outcome::kNextElse : Outcome::kOver;
}

// For a kept stream that has done its work: its destination sees an orderly end, if it ends too in time.
asio::awaitable<void> end_in_order(tunnel::StreamPtr stream, asio::any_io_executor executor) {
  if (stream->reset_code()) co_return;
  asio::steady_timer limit(executor, kLeaveTime);
  limit.async_wait([weak = std::weak_ptr(stream)](const boost::system::error_code& ec) {
    const auto late = weak.lock();
    if (!ec && late) tunnel::cancel(late, session::ResetCode::kCancelled);
  });
  stream->finish();
  while (!stream->at_end() && !stream->reset_code()) {
    std::array<ByteView, 8> pieces;
    if (stream->peek(pieces) > 0) {
      stream->consume(pieces[0].size());
    } else {
      co_await stream->readable().wait();
    }
  }
  if (stream->at_end()) stream->consume_end();
}

// True when another request may follow.
asio::awaitable<bool> serve_forward(std::shared_ptr<ClientConnection> self, HttpRequest request) {
  Outcome outcome = Outcome::kUnused;
  const bool reuses = self->kept.serves(request);
  tunnel::StreamPtr stream = std::move(self->kept.stream);
  if (reuses) {
    outcome = co_await exchange_over(self, std::move(stream), request, true);
  } else if (stream) {
    const auto executor = self->client->executor();
    asio::co_spawn(executor, end_in_order(std::move(stream), executor), net::RethrowFailure{});
  }
  if (outcome == Outcome::kUnused) outcome = co_await exchange_anew(self, std::move(request));
  if (outcome == Outcome::kClose) co_await tunnel::Connection::finish(self->client);
  co_return outcome == Outcome::kNext || outcome == Outcome::kNextElse;
}

// Does what the header at the front of the input asks for. True when another request may follow.
asio::awaitable<bool> serve_request(std::shared_ptr<ClientConnection> self) {
  const std::size_t size = header_bytes(as_text(self->client->input()));
  auto asked = read_http_request(as_text(self->client->input().first(size)), self->door.credentials.get());
  self->client->take(size);
  bool next = false;
  if (const auto* refusal = std::get_if<HttpRefusal>(&asked)) {
    const PageOptions options{refusal->is_head, refusal->keep_alive && !self->door.stopping};
    log::debug("an HTTP request of {} is answered {}: {}", self->client->remote_text(), refusal->status,
               refusal->reason);
    Bytes page = error_page(refusal->status, refusal->reason, options);
    next = co_await say(self->client, std::move(page), options.keep_alive);
    co_return next;
  }
  HttpRequest request = std::get<HttpRequest>(std::move(asked));
  if (request.kind == RequestKind::kOwn) {
    request.keep_alive = self->may_continue(request);
    Bytes page = own_page(request, self->address(), self->door.credentials != nullptr);
    next = co_await say(self->client, std::move(page), request.keep_alive);
  } else if (request.kind == RequestKind::kConnect) {
    co_await serve_connect(self, std::move(request));
  } else {
    next = co_await serve_forward(self, std::move(request));
  }
  co_return next;
}

asio::awaitable<void> leave(std::shared_ptr<ClientConnection> self) {
  const tunnel::StreamPtr stream = std::move(self->kept.stream);
  if (stream) co_await end_in_order(stream, self->client->executor());
}

}  // namespace

asio::awaitable<void> serve_http(std::shared_ptr<tunnel::Connection> client, HttpDoor door,
                                 std::unique_ptr<tunnel::ConnectionSet::Membership> among_handshakes) {
  auto membership = std::move(among_handshakes);
  const auto self =
      std::make_shared<ClientConnection>(ClientConnection{std::move(client), std::move(door), {}});
  Header header = co_await read_header(self->client);
  membership.reset();
  while (header == Header::kComplete) {
    self->client->lift_limit();
    const bool next = co_await serve_request(self);
    if (!next) break;
    header = co_await read_next_header(self);
  }
  if (header == Header::kTooLarge) {
    log::debug("an HTTP request of {} has a header of more than 16 KiB", self->client->remote_text());
    Bytes page = error_page(431, "The request's header is larger than 16 KiB.", {});
    co_await tunnel::Connection::refuse(self->client, std::move(page));
  }
  co_await leave(self);
}

}  // namespace zks::frontdoor
