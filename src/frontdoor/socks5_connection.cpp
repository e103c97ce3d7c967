// SPDX-License-Identifier: MIT
#include "frontdoor/socks5_connection.hpp"

#include <array>
#include <exception>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sodium.h>

#include "base/log.hpp"

namespace zks::frontdoor {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::ResetCode;

constexpr auto kToTuple = asio::as_tuple(asio::use_awaitable);

// More waits in the kernel, which then lets the client wait.
constexpr std::size_t kMaxEarlyBytes = 16 * 1024;
// How long a refused client may take to read the refusal and close.
constexpr std::chrono::milliseconds kRefusalTime{1000};
constexpr std::size_t kMaxIgnoredBytes = 64 * 1024;
constexpr std::uint8_t kSucceeded = 0;

}  // namespace

// Receives how the opening coroutine ended. A cancelled one ends with an exception, as Asio has it.
struct Socks5Connection::OpenDone {
  std::shared_ptr<Socks5Connection> self;

  void operator()(std::exception_ptr failure) const {
    self->opening_ = false;
    self->open_ended_.notify();
    if (!failure || self->gone_) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      self->outcome_ = {nullptr, ResetCode::kGeneralFailure, {}};
      log::error("opening a stream failed: {}", error.what());
    }
  }
};

Socks5Connection::Socks5Connection(tcp::socket socket)
    : socket_(std::move(socket)), deadline_(socket_.get_executor()), open_ended_(socket_.get_executor()) {
  error_code ignored;  // a connection that died meanwhile says so when it is read
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
}

asio::awaitable<bool> Socks5Connection::handshake(std::shared_ptr<Socks5Connection> self,
                                                  std::shared_ptr<const Credentials> credentials,
                                                  std::chrono::milliseconds timeout) {
  self->arm_deadline(timeout);
  Socks5Parser parser(credentials.get());
  std::array<std::uint8_t, 1024> buffer;
  while (true) {
    const auto [ec, got] = co_await self->socket_.async_read_some(asio::buffer(buffer), kToTuple);
    if (ec) co_return false;
    ByteView input(buffer.data(), got);
    const Socks5Parser::Step step = parser.feed(input);
    self->early_.assign(input.begin(), input.end());
    sodium_memzero(buffer.data(), got);  // it may have held a password
    Bytes replies = parser.take_replies();
    if (step == Socks5Parser::Step::kRefused) {
      co_await refuse(self, std::move(replies));
      co_return false;
    }
    const auto [failed, sent] = co_await asio::async_write(self->socket_, asio::buffer(replies), kToTuple);
    if (failed) co_return false;
    if (step == Socks5Parser::Step::kRequest) {
      self->deadline_.cancel();
      self->destination_ = parser.destination();
      co_return true;
    }
  }
}

asio::awaitable<void> Socks5Connection::serve(std::shared_ptr<Socks5Connection> self,
                                              std::shared_ptr<tunnel::StreamOpener> opener) {
  if (self->gone_) co_return;
  self->opening_ = true;
  asio::co_spawn(self->socket_.get_executor(), open(self, opener),
                 asio::bind_cancellation_slot(self->cancel_open_.slot(), OpenDone{self}));
  self->watch_client(tcp::socket::wait_read);
  while (self->opening_) co_await self->open_ended_.wait();

  tunnel::StreamPtr stream = std::move(self->outcome_.stream);
  if (self->gone_) {
    if (stream) tunnel::cancel(stream, ResetCode::kCancelled);
    co_return;
  }
  error_code ignored;
  self->socket_.cancel(ignored);  // the watch
  if (!stream) {
    Bytes refusal = encode_socks5_refusal(self->outcome_.code);
    co_await refuse(self, std::move(refusal));
    co_return;
  }
  self->spliced_ = stream;
  const Bytes reply = encode_socks5_reply(kSucceeded, self->outcome_.bound);
  const auto [failed, sent] = co_await asio::async_write(self->socket_, asio::buffer(reply), kToTuple);
  if (failed) {
    tunnel::cancel(stream, ResetCode::kCancelled);
    co_return;
  }
  co_await tunnel::splice(std::move(self->socket_), std::move(stream), std::move(self->early_));
}

asio::awaitable<void> Socks5Connection::open(std::shared_ptr<Socks5Connection> self,
                                             std::shared_ptr<tunnel::StreamOpener> opener) {
  self->outcome_ = co_await opener->open(self->destination_);
}

// Closing a socket with unread bytes sends RST, which may overtake the reply. So the client's end is awaited,
// within bounds.
asio::awaitable<void> Socks5Connection::refuse(std::shared_ptr<Socks5Connection> self, Bytes reply) {
  self->arm_deadline(kRefusalTime);
  const auto [failed, sent] = co_await asio::async_write(self->socket_, asio::buffer(reply), kToTuple);
  if (failed) co_return;
  error_code ec;
  self->socket_.shutdown(tcp::socket::shutdown_send, ec);
  std::array<std::uint8_t, 4096> ignored;
  for (std::size_t total = 0; !ec && total < kMaxIgnoredBytes;) {
    const auto [failure, got] = co_await self->socket_.async_read_some(asio::buffer(ignored), kToTuple);
    ec = failure;
    total += got;
  }
}

// Reads what the client sends while it waits for the reply: only so is its end noticed. An RST is noticed
// also when there is nothing more to read.
void Socks5Connection::watch_client(tcp::socket::wait_type event) {
  socket_.async_wait(event, [weak = weak_from_this(), event](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || !self->opening_ || self->gone_) return;
    if (event == tcp::socket::wait_error) {
      self->client_gone();
    } else {
      self->on_client_readable();
    }
  });
}

void Socks5Connection::on_client_readable() {
  const std::size_t before = early_.size();
  early_.resize(kMaxEarlyBytes);
  error_code ec;
  const std::size_t got = socket_.read_some(asio::buffer(early_.data() + before, early_.size() - before), ec);
  early_.resize(before + got);
  const bool half_closed = ec == asio::error::eof && !early_.empty();  // splice() will read that end again
  if (ec && ec != asio::error::would_block && !half_closed) return client_gone();
  const bool read_no_more = half_closed || early_.size() >= kMaxEarlyBytes;
  watch_client(read_no_more ? tcp::socket::wait_error : tcp::socket::wait_read);
}

void Socks5Connection::client_gone() {
  gone_ = true;
  cancel_open_.emit(asio::cancellation_type::terminal);
}

void Socks5Connection::arm_deadline(std::chrono::milliseconds time) {
  deadline_.expires_after(time);
  deadline_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self) self->abort();
  });
}

void Socks5Connection::abort() {
  if (opening_ && !gone_) client_gone();
  gone_ = true;
  if (const auto stream = spliced_.lock()) tunnel::cancel(stream, ResetCode::kCancelled);
  error_code ignored;
  socket_.close(ignored);  // moved into the splice by then, perhaps
}

}  // namespace zks::frontdoor
