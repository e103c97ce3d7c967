// SPDX-License-Identifier: MIT
#include "relay/connection.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>

#include "carrier/accept.hpp"
#include "net/on_end.hpp"
#include "relay/admission.hpp"
#include "relay/exit_socket.hpp"
#include "relay/half.hpp"
#include "relay/registration.hpp"

namespace zks::relay {
namespace {

namespace close_code = carrier::close_code;
namespace http = boost::beast::http;
using carrier::TlsStream;
using net::TcpStream;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

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
class Connection final : public LiveSocket, public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(RelayPtr relay, std::shared_ptr<Loop> loop, Stream stream, const asio::ip::address& peer,
             HandshakeSlot slot)
      : relay_(std::move(relay)),
        loop_(std::move(loop)),
        peer_(peer),
        slot_(std::move(slot)),
        deadline_(loop_->executor()),
        stream_(std::move(stream)) {}

  static asio::awaitable<void> run(std::shared_ptr<Connection> self);
  // On the loop's thread.
  static void start(const std::shared_ptr<Connection>& self, asio::awaitable<void> work) {
    // From here on it ends in over(), whatever there is no memory for.
    net::OnEnd over(self->loop_->executor(),
                    [self](const std::exception_ptr& failure) { self->over(failure); });
    self->loop_->add(self);
    const auto evict = [weak = self->weak_from_this(), executor = self->loop_->executor()] {
      asio::post(executor, [weak] {
        if (const auto evicted = weak.lock()) evicted->abort();
      });
    };
    if (!self->slot_->on_evict(evict)) self->abort();
    asio::co_spawn(self->loop_->executor(), std::move(work), std::move(over));
  }
  void over(const std::exception_ptr& failure);

  void shut_down() override { abort(); }
  void abort() override;

 private:
  TcpStream& tcp() { return boost::beast::get_lowest_layer(*stream_); }

  asio::awaitable<bool> first_byte();
  asio::awaitable<bool> handshake();
  Source source() const;
  asio::awaitable<bool> read_request();
  void move_to(const std::shared_ptr<Loop>& loop, Route route);
  asio::awaitable<void> refuse(unsigned status, std::string body);
  asio::awaitable<void> upgrade(Route route, std::optional<PairSlot> slot);
  asio::awaitable<void> take_place(const ExitRoute& route);
  asio::awaitable<void> take_place(const PairRoute& route);
  asio::awaitable<bool> prove_ownership(ExitRoute route);
  void arm_deadline(std::chrono::milliseconds timeout);
  void count_failure(const boost::system::error_code& ec, Count& otherwise);

  RelayPtr relay_;
  std::shared_ptr<Loop> loop_;
  const asio::ip::address peer_;
  HandshakeSlot slot_;
  asio::steady_timer deadline_;
  std::optional<Stream> stream_;  // until the upgrade
  carrier::UpgradeRequest request_;
  std::optional<Source> source_;  // once the request is there
  bool early_bytes_ = false;
  std::string authority_;
  carrier::CarrierPtr carrier_;  // after it
};

template <class Stream>
void Connection<Stream>::abort() {
  if (stream_) tcp().close();
  if (carrier_) carrier_->abort();
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
  self->source_ = self->source();
  Ends ends{*self->source_, self->tcp().socket().local_endpoint(ignored).address()};
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    ends.certificate = SSL_get_certificate(self->stream_->native_handle());
  }
  self->slot_->belongs_to(ends.source);
  Verdict verdict = admit(*self->relay_, self->request_, route, ends);
  // Nothing may follow an upgrade request before its answer (RFC 6455, section 4.1).
  if (verdict.status == 101 && self->early_bytes_) verdict.status = 400;
  if (verdict.status == 101) {
    if (const auto* pair = std::get_if<PairRoute>(&route)) {
      const auto client = self->relay_->rooms.waiting(pair->room, pair->pair);
      if (client && client->loop() != self->loop_) {
        self->move_to(client->loop(), route);
        co_return;
      }
    }
    co_await self->upgrade(route, std::move(verdict.slot));
  } else {
    co_await self->refuse(verdict.status, std::move(verdict.body));
  }
}

// Both halves of a pair are on one loop: half.cpp calls one from the other.
template <class Stream>
void Connection<Stream>::move_to(const std::shared_ptr<Loop>& loop, Route route) {
  using net::move_to;
  Stream stream = move_to(loop->executor(), std::move(*stream_));
  stream_.reset();
  const auto there = std::make_shared<Connection>(relay_, loop, std::move(stream), peer_, std::move(slot_));
  there->request_ = std::move(request_);
  asio::dispatch(loop->executor(), [there, route = std::move(route)]() mutable {
    start(there, there->upgrade(std::move(route), std::nullopt));
  });
}

template <class Stream>
void Connection<Stream>::over(const std::exception_ptr& failure) {
  if (failure) log_failure(failure, "handshake");
  deadline_.cancel();
  abort();
  loop_->remove(this->shared_from_this());
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

// ---- after the upgrade

template <class Stream>
asio::awaitable<void> Connection<Stream>::upgrade(Route route, std::optional<PairSlot> slot) {
  authority_ = std::string(request_[http::field::host]);
  const bool control = !std::holds_alternative<PairRoute>(route);
  const carrier::AcceptOptions options{control ? kMaxControlMessageBytes : relay_->options.max_message_bytes,
                                       kAnswerTimeout};
  Stream stream = std::move(*stream_);
  stream_.reset();
  auto accepted = co_await carrier::accept_upgrade(std::move(stream), std::move(request_), options);
  if (!accepted) co_return;
  carrier_ = std::move(*accepted);
  if (const auto* exit = std::get_if<ExitRoute>(&route)) {
    co_await take_place(*exit);
  } else if (const auto* pair = std::get_if<PairRoute>(&route)) {
    co_await take_place(*pair);
  } else if (const auto* client = std::get_if<ClientRoute>(&route)) {
    auto exits = relay_->rooms.exits(client->room, client->instance);
    const auto half = std::make_shared<Half>(relay_, loop_, std::move(carrier_));
    Half::start_waiting(half, std::move(*slot), client->room, std::move(exits));
  }
}

template <class Stream>
asio::awaitable<void> Connection<Stream>::take_place(const PairRoute& route) {
  const auto client = relay_->rooms.claim(route.room, route.pair);
  if (!client) {
    [[maybe_unused]] const Result<> closed = co_await carrier_->close(close_code::kPairGone);
    co_return;
  }
  const auto half = std::make_shared<Half>(relay_, loop_, std::move(carrier_));
  Half::start_pair(client, half);
}

template <class Stream>
asio::awaitable<void> Connection<Stream>::take_place(const ExitRoute& route) {
  arm_deadline(relay_->options.upgrade_timeout);
  const bool owner = co_await prove_ownership(route);
  deadline_.cancel();
  if (!owner) {
    loop_->counters().registrations_refused.add();
    [[maybe_unused]] const Result<> closed = co_await carrier_->close(close_code::kForbidden);
    co_return;
  }
  const auto exit =
      std::make_shared<ExitSocket>(relay_, loop_, std::move(carrier_), route.room, route.instance);
  ExitSocket::start_registered(exit, *source_);
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::prove_ownership(ExitRoute route) {
  const auto nonce = random_array<32>();
  const std::string challenge = carrier::encode_control(carrier::Challenge{nonce});
  const Result<> asked = co_await carrier_->write(carrier::MessageType::kText, as_bytes(challenge));
  if (!asked) co_return false;
  carrier::Buffer buffer;
  const auto type = co_await carrier_->read(buffer);
  if (!type || *type != carrier::MessageType::kText) co_return false;
  const auto message =
      carrier::decode_control({static_cast<const char*>(buffer.data().data()), buffer.size()});
  if (!message) co_return false;
  const auto* answer = std::get_if<carrier::Register>(&*message);
  if (answer == nullptr) co_return false;
  co_return owns_room(*answer, nonce, authority_, route.room, route.instance);
}

// For the first byte and the exit's answer; what is between has the stream's own deadline.
template <class Stream>
void Connection<Stream>::arm_deadline(std::chrono::milliseconds timeout) {
  deadline_.expires_after(timeout);
  deadline_.async_wait([weak = this->weak_from_this()](const boost::system::error_code& ec) {
    if (ec) return;
    const auto self = weak.lock();
    if (!self) return;
    self->loop_->counters().handshake_timeouts.add();
    self->abort();
  });
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
  Connection<Stream>::start(connection, Connection<Stream>::run(connection));
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
