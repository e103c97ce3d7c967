// SPDX-License-Identifier: MIT
#include "relay/connection.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/dispatch.hpp>
#include <boost/beast/http.hpp>

#include "carrier/accept.hpp"
#include "net/as_tuple.hpp"
#include "relay/admission.hpp"
#include "relay/half.hpp"

namespace zks::relay {
namespace {

namespace http = boost::beast::http;
using carrier::TlsStream;
using net::TcpStream;

using net::kTuple;

// A refused sender may still be sending; what it sent is read for this long and up to this much, since
// closing a socket with unread bytes resets the connection and takes the answer away from it.
constexpr std::chrono::seconds kLinger{1};
constexpr std::size_t kMaxLingerBytes = 64 * 1024;
// Writing the answer to an upgrade can't wait for anything: the send buffer is empty.
constexpr std::chrono::seconds kAnswerTimeout{2};
// An exit's control socket, and a client's until it is paired, carry control messages alone, which are
// shorter than this.
constexpr std::size_t kMaxControlMessageBytes = 4 * 1024;

template <class Stream>
class Connection final : public PendingConnection {
 public:
  Connection(RelayPtr relay, std::shared_ptr<Loop> loop, Stream stream, const asio::ip::address& peer,
             HandshakeSlot slot)
      : PendingConnection(std::move(relay), std::move(loop), std::move(slot)),
        peer_(peer),
        stream_(std::move(stream)) {}

  static asio::awaitable<void> run(std::shared_ptr<Connection> self);
  void abort() override;

 private:
  TcpStream& tcp() { return boost::beast::get_lowest_layer(*stream_); }

  asio::awaitable<bool> first_byte();
  asio::awaitable<bool> handshake();
  Source source() const;
  asio::awaitable<bool> read_request();
  void move_to(const std::shared_ptr<Loop>& loop, Request request);
  asio::awaitable<void> refuse(unsigned status, std::string body);
  asio::awaitable<void> upgrade(Request request);
  void count_failure(const boost::system::error_code& ec, Count& otherwise);

  const asio::ip::address peer_;
  std::optional<Stream> stream_;  // until the upgrade
  carrier::UpgradeRequest request_;
  bool early_bytes_ = false;
};

template <class Stream>
void Connection<Stream>::abort() {
  if (stream_) tcp().close();
  PendingConnection::abort();
}

template <class Stream>
asio::awaitable<void> Connection<Stream>::run(std::shared_ptr<Connection> self) {
  if (!co_await self->first_byte()) co_return;
  self->tcp().expires_after(self->relay_->options.upgrade_timeout);
  if (!co_await self->handshake()) co_return;
  if (!co_await self->read_request()) co_return;
  const auto target = self->request_.target();
  const Route route = parse_route({target.data(), target.size()});
  boost::system::error_code ignored;
  Ends ends{self->source(), self->tcp().socket().local_endpoint(ignored).address()};
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    ends.certificate = SSL_get_certificate(self->stream_->native_handle());
  }
  self->slot_->belongs_to(ends.source);
  Verdict verdict = admit(*self->relay_, self->request_, route, ends);
  // Nothing may follow an upgrade request before its answer (RFC 6455, section 4.1).
  if (verdict.status == 101 && self->early_bytes_) verdict.status = 400;
  if (verdict.status != 101) {
    co_await self->refuse(verdict.status, std::move(verdict.body));
    co_return;
  }
  Request request{route, std::string(self->request_[http::field::host]), ends.source,
                  std::move(verdict.slot)};
  if (const auto* pair = std::get_if<PairRoute>(&route)) {
    const auto client = self->relay_->rooms.waiting(pair->room, pair->pair);
    if (client && client->loop() != self->loop_) {
      self->move_to(client->loop(), std::move(request));
      co_return;
    }
  }
  co_await self->upgrade(std::move(request));
}

// Both halves of a pair are on one loop: half.cpp calls one from the other.
template <class Stream>
void Connection<Stream>::move_to(const std::shared_ptr<Loop>& loop, Request request) {
  using net::move_to;
  Stream stream = move_to(loop->executor(), std::move(*stream_));
  stream_.reset();
  const auto there = std::make_shared<Connection>(relay_, loop, std::move(stream), peer_, std::move(slot_));
  there->request_ = std::move(request_);
  asio::dispatch(loop->executor(), [there, request = std::move(request)]() mutable {
    start(there, there->upgrade(std::move(request)));
  });
}

// A connection that says nothing costs as much as one in a handshake, and nobody needs one.
template <class Stream>
asio::awaitable<bool> Connection<Stream>::first_byte() {
  const Options& options = relay_->options;
  arm_deadline(std::min(options.first_byte_timeout, options.upgrade_timeout));
  auto [ec] = co_await tcp().socket().async_wait(asio::ip::tcp::socket::wait_read, kTuple);
  deadline_.cancel();
  if (!ec) slot_->spoke();
  co_return !ec;
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::handshake() {
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    const carrier::ErrorCode ec = co_await stream_->handshake();
    if (ec) count_failure(ec, loop_->counters().tls_failures);
    co_return !ec;
  }
  co_return true;
}

// ---- the request

template <class Stream>
asio::awaitable<bool> Connection<Stream>::read_request() {
  http::request_parser<http::empty_body> parser;
  const Options& options = relay_->options;
  parser.header_limit(static_cast<std::uint32_t>(options.max_header_bytes));
  // Beast's limit is for what is parsed at once: a header that comes in pieces would never reach it. So all
  // that was read is counted; one byte more tells "full" from "over".
  boost::beast::flat_buffer buffer;
  std::size_t left = options.max_header_bytes + 1;
  boost::system::error_code ec;
  while (!parser.is_header_done() && left > 0 && !ec) {
    auto [read_ec, size] =
        co_await stream_->async_read_some(buffer.prepare(std::min<std::size_t>(left, 2048)), kTuple);
    ec = read_ec;
    if (ec) break;
    left -= size;
    buffer.commit(size);
    buffer.consume(parser.put(buffer.data(), ec));
    if (ec == http::error::need_more) ec = {};
  }
  const bool too_long = !parser.is_header_done() && left == 0;
  if (too_long || ec == http::error::header_limit) {
    // Without an end of the first line in sight it is the target that is too long.
    co_await refuse(parser.get().target().empty() ? 414 : 431, {});
    co_return false;
  }
  if (!ec) {
    request_ = parser.release();
    early_bytes_ = buffer.size() > 0;
    co_return true;
  }
  count_failure(ec, loop_->counters().request_failures);
  const bool malformed = ec.category() == http::make_error_code(http::error::bad_value).category();
  if (malformed && ec != http::error::end_of_stream && ec != http::error::partial_message)
    co_await refuse(400, {});
  co_return false;
}

// Whose request it is; known with its header alone where a proxy is in front.
template <class Stream>
Source Connection<Stream>::source() const {
  const auto& trusted = relay_->options.trusted_proxies;
  if (!is_trusted(peer_, trusted)) return Source(peer_);
  std::vector<std::string_view> forwarded;
  const auto [first, last] = request_.equal_range("X-Forwarded-For");
  for (auto field = first; field != last; ++field) forwarded.emplace_back(field->value());
  return Source(client_address(peer_, trusted, forwarded));
}

// ---- refusing

template <class Stream>
asio::awaitable<void> Connection<Stream>::refuse(unsigned status, std::string body) {
  loop_->counters().count_answer(status);
  http::response<http::string_body> response(static_cast<http::status>(status), 11);
  response.set(http::field::server, carrier::kServerHeader);
  response.set(http::field::content_type, body.empty() ? "text/plain" : "application/json");
  if (status == 429 || status == 503) response.set(http::field::retry_after, "1");
  response.keep_alive(false);
  response.body() = std::move(body);
  response.prepare_payload();
  auto [ec, size] = co_await http::async_write(*stream_, response, kTuple);
  if (ec) co_return;
  tcp().expires_after(kLinger);
  if constexpr (std::is_same_v<Stream, TlsStream>) stream_->shut_down();
  boost::system::error_code ignored;
  tcp().socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> unread;
  for (std::size_t total = 0; total < kMaxLingerBytes;) {
    auto [read_ec, count] = co_await tcp().async_read_some(asio::buffer(unread), kTuple);
    if (read_ec) co_return;
    total += count;
  }
}

// ---- the upgrade

template <class Stream>
asio::awaitable<void> Connection<Stream>::upgrade(Request request) {
  const bool control = !std::holds_alternative<PairRoute>(request.route);
  const carrier::AcceptOptions options{control ? kMaxControlMessageBytes : relay_->options.max_message_bytes,
                                       kAnswerTimeout};
  Stream stream = std::move(*stream_);
  stream_.reset();
  auto accepted = co_await carrier::accept_upgrade(std::move(stream), std::move(request_), options);
  if (!accepted) co_return;
  co_await take_place(std::move(*accepted), std::move(request));
}

template <class Stream>
void Connection<Stream>::count_failure(const boost::system::error_code& ec, Count& otherwise) {
  (ec == boost::beast::error::timeout ? loop_->counters().handshake_timeouts : otherwise).add();
}

template <class Stream>
void serve(RelayPtr relay, std::shared_ptr<Loop> loop, Stream stream, const asio::ip::address& peer,
           HandshakeSlot slot) {
  const auto connection = std::make_shared<Connection<Stream>>(std::move(relay), std::move(loop),
                                                               std::move(stream), peer, std::move(slot));
  PendingConnection::start(connection, Connection<Stream>::run(connection));
}

}  // namespace

void serve_connection(RelayPtr relay, std::shared_ptr<Loop> loop, asio::ip::tcp::socket socket,
                      const asio::ip::address& peer, HandshakeSlot slot) {
  loop->counters().connections.add();
  net::tune_socket(socket);
  TcpStream tcp(std::move(socket));
  if (!relay->tls) {
    serve(std::move(relay), std::move(loop), std::move(tcp), peer, std::move(slot));
    return;
  }
  const auto context = relay->tls->context();  // the SSL object keeps what it needs of it
  serve(relay, std::move(loop),
        TlsStream(std::move(tcp), context->native_handle(), carrier::TlsEngine::Role::kServer), peer,
        std::move(slot));
}

}  // namespace zks::relay
