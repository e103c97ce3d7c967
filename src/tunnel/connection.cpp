// SPDX-License-Identifier: MIT
#include "tunnel/connection.hpp"

#include <array>
#include <exception>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/write.hpp>
#include <sodium.h>

#include "base/log.hpp"
#include "base/log_failure.hpp"
#include "base/relay_url.hpp"
#include "net/as_tuple.hpp"
#include "net/on_end.hpp"
#include "tunnel/user_socket.hpp"

namespace zks::tunnel {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::ResetCode;

using net::kTuple;

// How long a client may take to read last words and close.
constexpr std::chrono::milliseconds kFinishTime{1000};
// The kernel tells of an RST at once, but not behind an urgent byte that nobody reads, and of FIN only to who
// reads up to it. So whoever waits is looked at now and then.
constexpr std::chrono::milliseconds kLookEvery{1000};
constexpr std::size_t kMaxIgnoredBytes = 64 * 1024;

}  // namespace

// Receives how the opening coroutine ended. A cancelled one ends with an exception, as Asio has it.
struct Connection::OpenDone {
  std::shared_ptr<Connection> self;

  void operator()(std::exception_ptr failure) const {
    self->opening_ = false;
    self->open_ended_.notify();
    if (!failure || self->gone_) return;
    self->outcome_ = {nullptr, ResetCode::kGeneralFailure, {}};
    log_failure(failure, "opening a stream failed");
  }
};

Connection::Connection(Socket socket)
    : socket_(std::move(socket)),
      deadline_(socket_.get_executor()),
      look_(socket_.get_executor()),
      open_ended_(socket_.get_executor()) {
  error_code ignored;  // a connection that died meanwhile says so when it is read
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  tune_user_socket(socket_.native_handle());
  local_ = net::tcp_endpoint(socket_.local_endpoint(ignored));
  remote_ = net::tcp_endpoint(socket_.remote_endpoint(ignored));
}

Connection::~Connection() {
  release_input();
}

std::string Connection::remote_text() const {
  if (remote_ == tcp::endpoint()) return "a unix socket";
  return format_host_port(remote_.address().to_string(), remote_.port());
}

void Connection::take(std::size_t count) {
  sodium_memzero(input_.get() + input_begin_, count);
  input_begin_ += count;
  if (input_begin_ == input_end_) input_begin_ = input_end_ = 0;
}

// The free space behind what was read; bytes move to the front when it would be none.
MutableBytes Connection::free_input() {
  if (!input_) input_ = std::make_unique<std::uint8_t[]>(kMaxInputBytes);
  if (input_end_ == kMaxInputBytes && input_begin_ > 0) {
    const std::size_t size = input_end_ - input_begin_;
    std::memmove(input_.get(), input_.get() + input_begin_, size);
    sodium_memzero(input_.get() + size, kMaxInputBytes - size);
    input_begin_ = 0;
    input_end_ = size;
  }
  return {input_.get() + input_end_, kMaxInputBytes - input_end_};
}

void Connection::release_input() {
  if (input_) sodium_memzero(input_.get(), input_end_);
  input_.reset();
  input_begin_ = input_end_ = 0;
}

asio::awaitable<bool> Connection::read(std::shared_ptr<Connection> self) {
  if (self->gone_) co_return false;
  const MutableBytes space = self->free_input();
  const auto [ec, got] =
      co_await self->socket_.async_read_some(asio::buffer(space.data(), space.size()), kTuple);
  if (ec) {
    // A read that fails takes the error away from whoever else looks for it.
    if (ec != asio::error::eof && ec != asio::error::operation_aborted) self->abort();
    co_return false;
  }
  self->input_end_ += got;
  co_return true;
}

asio::awaitable<bool> Connection::write(std::shared_ptr<Connection> self, Bytes bytes) {
  const auto [ec, sent] = co_await asio::async_write(self->socket_, asio::buffer(bytes), kTuple);
  co_return !ec;
}

asio::awaitable<void> Connection::finish(std::shared_ptr<Connection> self) {
  self->limit_time(kFinishTime);
  error_code ec;
  self->socket_.shutdown(tcp::socket::shutdown_send, ec);
  std::array<std::uint8_t, 4096> ignored;
  for (std::size_t total = 0; !ec && total < kMaxIgnoredBytes;) {
    const auto [failure, got] = co_await self->socket_.async_read_some(asio::buffer(ignored), kTuple);
    ec = failure;
    total += got;
  }
  sodium_memzero(ignored.data(), ignored.size());
}

asio::awaitable<void> Connection::refuse(std::shared_ptr<Connection> self, Bytes reply) {
  self->limit_time(kFinishTime);
  const bool sent = co_await write(self, std::move(reply));
  if (sent) co_await finish(self);
}

asio::awaitable<OpenOutcome> Connection::open(std::shared_ptr<Connection> self,
                                              std::shared_ptr<StreamOpener> opener,
                                              session::Destination destination, End end) {
  if (self->gone_) co_return OpenOutcome{nullptr, ResetCode::kCancelled, {}};
  self->opening_ = true;
  self->end_ = end;
  self->outcome_ = {};
  const std::string asked = session::to_text(destination);
  asio::co_spawn(
      self->executor(), run_open(self, std::move(opener), std::move(destination)),
      asio::bind_cancellation_slot(self->cancel_open_.slot(), net::OnEnd(self->executor(), OpenDone{self})));
  self->watch_client(self->input_full() ? tcp::socket::wait_error : tcp::socket::wait_read);
  self->look_later(End::kMayHalfClose);
  while (self->opening_) co_await self->open_ended_.wait();

  OpenOutcome outcome = std::move(self->outcome_);
  if (self->gone_) {
    if (outcome.stream) cancel(outcome.stream, ResetCode::kCancelled);
    outcome.stream.reset();
    outcome.code = ResetCode::kCancelled;
    co_return outcome;
  }
  self->stop_waiting();
  self->serve_with(outcome.stream);
  if (!outcome.stream) {
    log::debug("a connection of {} to {} failed: {}", self->remote_text(), asked,
               session::describe(outcome.code));
  }
  co_return outcome;
}

asio::awaitable<void> Connection::run_open(std::shared_ptr<Connection> self,
                                           std::shared_ptr<StreamOpener> opener,
                                           session::Destination destination) {
  self->outcome_ = co_await opener->open(std::move(destination));
}

asio::awaitable<void> Connection::splice(std::shared_ptr<Connection> self, StreamPtr stream) {
  self->serve_with(stream);
  Bytes early(self->input().begin(), self->input().end());
  self->release_input();
  co_await tunnel::splice(std::move(self->socket_), std::move(stream), std::move(early));
}

std::optional<session::TimePoint> Connection::half_closed_since() const {
  const auto stream = stream_.lock();
  return stream ? stream->half_closed_since() : std::nullopt;
}

// An RST is noticed also when there is nothing more to read.
void Connection::watch_client(tcp::socket::wait_type event) {
  socket_.async_wait(event, [weak = weak_from_this(), event](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || !self->opening_ || self->gone_) return;
    if (event == tcp::socket::wait_error) {  // or an urgent byte
      if (take_socket_error(self->socket_.native_handle())) self->client_gone();
    } else {
      self->on_client_readable();
    }
  });
}

void Connection::on_client_readable() {
  const MutableBytes space = free_input();
  error_code ec;
  input_end_ += socket_.read_some(asio::buffer(space.data(), space.size()), ec);
  // Whoever reads next, a door or the splice, will read that end again.
  const bool half_closed = ec == asio::error::eof && (end_ == End::kMayHalfClose || !input().empty());
  if (ec && ec != asio::error::would_block && !half_closed) return client_gone();
  const bool read_no_more = half_closed || input_full();
  watch_client(read_no_more ? tcp::socket::wait_error : tcp::socket::wait_read);
}

void Connection::client_gone() {
  gone_ = true;
  cancel_open_.emit(asio::cancellation_type::terminal);
}

void Connection::watch(End end) {
  socket_.async_wait(tcp::socket::wait_error, [weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || !self->socket_.is_open()) return;
    if (take_socket_error(self->socket_.native_handle())) self->abort();
  });
  look_later(end);
}

void Connection::look_later(End end) {
  look_.expires_after(kLookEvery);
  look_.async_wait([weak = weak_from_this(), end, number = ++looks_](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->looks_ != number || !self->socket_.is_open()) return;
    const int handle = self->socket_.native_handle();
    if (take_socket_error(handle) || (end == End::kLeaves && is_ended_by_peer(handle))) {
      self->abort();
    } else {
      self->look_later(end);
    }
  });
}

void Connection::stop_waiting() {
  ++looks_;
  look_.cancel();
  error_code ignored;
  socket_.cancel(ignored);
}

void Connection::limit_time(std::chrono::milliseconds time) {
  deadline_.expires_after(time);
  // A handler that is queued already can't be cancelled, so it looks whether it still is the last.
  deadline_.async_wait([weak = weak_from_this(), number = ++limits_set_](const error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && self->limits_set_ == number) self->abort();
  });
}

void Connection::lift_limit() {
  ++limits_set_;
  deadline_.cancel();
}

void Connection::abort() {
  if (opening_ && !gone_) client_gone();
  gone_ = true;
  if (const auto stream = stream_.lock()) cancel(stream, ResetCode::kCancelled);
  error_code ignored;
  socket_.close(ignored);  // moved into the splice by then, perhaps
}

void Connection::reset() {
  error_code ignored;
  if (socket_.is_open()) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  abort();
}

}  // namespace zks::tunnel
