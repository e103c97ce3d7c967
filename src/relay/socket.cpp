// SPDX-License-Identifier: MIT
#include "relay/socket.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <sodium.h>

#include "carrier/accept.hpp"
#include "net/on_end.hpp"

namespace zks::relay {

namespace close_code = carrier::close_code;
using Clock = std::chrono::steady_clock;

namespace {

// How often within the time-out of a write it is looked at whether it moves.
constexpr int kLooksAtWrites = 4;

}  // namespace

// Without memory a coroutine is destroyed where it stands (net/on_end.hpp): what it has said of itself
// here it takes back, and with a message half written the connection is of no more use. Another socket's
// coroutine may be the writer.
class Socket::Incoming {
 public:
  Incoming(Socket& socket, const carrier::Buffer& buffer) : socket_(socket) { socket_.incoming_ = &buffer; }
  ~Incoming() { socket_.incoming_ = nullptr; }
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

 private:
  Socket& socket_;
};

class Socket::Writing {
 public:
  explicit Writing(Socket& socket) : socket_(socket) { socket_.writing_ = true; }
  ~Writing() {
    socket_.writing_ = false;
    socket_.outgoing_bytes_ = 0;
    if (!over_) socket_.give_up();
    if (socket_.ending_ || socket_.has_queued()) socket_.writer_signal_.notify();
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;

  void over() { over_ = true; }

 private:
  Socket& socket_;
  bool over_ = false;
};

Socket::Socket(std::shared_ptr<Loop> loop, carrier::CarrierPtr carrier,
               std::chrono::milliseconds idle_timeout, std::chrono::milliseconds write_timeout)
    : loop_(std::move(loop)),
      carrier_(std::move(carrier)),
      idle_timeout_(idle_timeout),
      write_timeout_(write_timeout),
      writer_signal_(loop_->executor()),
      reader_signal_(loop_->executor()),
      timer_(loop_->executor()) {}

void Socket::start() {
  const auto self = shared_from_this();
  last_read_ = moved_ = Clock::now();
  arm_timer(last_read_ + std::min(idle_timeout_, write_timeout_ / kLooksAtWrites));
  const auto over = [self](const std::exception_ptr& failure) { self->coroutine_over(failure); };
  net::OnEnd reading_over(executor(), over);  // both before anything that may fail
  net::OnEnd writing_over(executor(), over);
  running_ = 2;
  loop_->add(self);
  asio::co_spawn(executor(), read_messages(self), std::move(reading_over));
  asio::co_spawn(executor(), write_messages(self), std::move(writing_over));
}

// ---- reading

asio::awaitable<void> Socket::read_messages(std::shared_ptr<Socket> self) {
  while (!self->ending_) {
    co_await self->before_read();
    while (!self->ending_ && self->texts_.size() >= kMaxTextsToRead) co_await self->reader_signal_.wait();
    if (self->ending_) co_return;
    carrier::Buffer buffer;  // a new one each time: an idle socket holds no message's memory
    self->reading_ = true;
    std::optional<Incoming> incoming(std::in_place, *self, buffer);
    const auto type = co_await self->carrier_->read(buffer);
    incoming.reset();
    self->reading_ = false;
    self->last_read_ = Clock::now();
    if (!type) {
      self->lost(type.error());
      co_return;
    }
    if (self->ending_) co_return;
    std::uint16_t code = 0;
    if (*type == carrier::MessageType::kText) {
      code = self->on_text({static_cast<const char*>(buffer.data().data()), buffer.size()});
    } else {
      code = co_await self->on_binary(std::move(buffer));
    }
    if (code != 0) self->end(code);
  }
}

std::uint16_t Socket::on_text(std::string_view text) {
  const auto message = carrier::decode_control(text);
  if (!message) return close_code::kPolicy;
  if (!std::holds_alternative<carrier::Ping>(*message)) return on_control(*message);
  send_text(carrier::encode_control(carrier::Pong{}));
  return 0;
}

void Socket::allow_messages_of(std::size_t bytes) {
  carrier::set_max_message(*carrier_, bytes);
}

std::size_t Socket::held_bytes() const {
  std::size_t bytes = outgoing_bytes_ + (incoming_ != nullptr ? incoming_->capacity() : 0);
  for (const InOrder& next : order_) {
    if (const auto* message = std::get_if<carrier::Buffer>(&next)) bytes += message->size();
  }
  return bytes;
}

// ---- writing

bool Socket::send_text(std::string text) {
  if (ending_ || texts_.size() >= kMaxTexts) return false;
  texts_.push_back(std::move(text));
  writer_signal_.notify();
  return true;
}

void Socket::send_binary(carrier::Buffer message) {
  if (ending_) return;
  order_.emplace_back(std::move(message));
}

void Socket::send_key(carrier::NewKey key) {
  if (ending_) return;
  order_.emplace_back(std::move(key));
  writer_signal_.notify();
}

asio::awaitable<void> Socket::write_messages(std::shared_ptr<Socket> self) {
  while (!self->lost_) {
    if (self->writing_) {
      co_await self->writer_signal_.wait();
    } else if (self->has_queued()) {
      co_await self->write_queued();
    } else if (self->close_code_) {
      // The outcome does not matter: the connection is gone after it.
      [[maybe_unused]] const Result<> closed = co_await self->carrier_->close(*self->close_code_);
      co_return;
    } else {
      co_await self->writer_signal_.wait();
    }
  }
}

asio::awaitable<void> Socket::write_queued() {
  if (writing_) co_return;
  const auto self = shared_from_this();  // the caller may be another socket
  Writing writing(*this);
  try {
    for (auto left = texts_.size() + order_.size(); left > 0 && has_queued() && !lost_; --left) {
      const Result<> written = co_await write_next();
      ++writes_;
      if (written) continue;
      lost(written.error());
      abort();
    }
  } catch (...) {
    failed(std::current_exception());
  }
  writing.over();
}

carrier::Task<> Socket::write_next() {
  if (!texts_.empty()) {
    std::string text = std::move(texts_.front());
    texts_.pop_front();
    co_return co_await write_text(std::move(text));
  }
  InOrder next = std::move(order_.front());
  order_.pop_front();
  if (auto* key = std::get_if<carrier::NewKey>(&next)) {
    on_key(key->epoch);
    std::string text = carrier::encode_control(std::move(*key));
    co_return co_await write_text(std::move(text));
  }
  const asio::const_buffer bytes = std::get<carrier::Buffer>(next).cdata();
  const ByteView view(static_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  outgoing_bytes_ = view.size();
  const Result<> written = co_await carrier_->write(carrier::MessageType::kBinary, view);
  outgoing_bytes_ = 0;
  if (written) on_sent(view.size());
  co_return written;
}

carrier::Task<> Socket::write_text(std::string text) {
  const Result<> written = co_await carrier_->write(carrier::MessageType::kText, as_bytes(text));
  sodium_memzero(text.data(), text.size());  // it may have held a key
  wake_reader();
  co_return written;
}

// ---- ending

void Socket::begin_ending(std::uint16_t code, bool ours) {
  if (ending_) return;
  ending_ = true;
  counters().count_close(code, ours);
  on_ending(code, ours);
  wake_reader();
  writer_signal_.notify();
}

void Socket::end(std::uint16_t code) {
  if (lost_) return;
  texts_.clear();
  order_.clear();
  if (!close_code_) close_code_ = code;
  arm_timer(Clock::now() + kEndTimeout);
  begin_ending(code, /*ours=*/true);
}

void Socket::end_soon(std::uint16_t code) {
  end(code);
  if (lost_) return;
  if (writing_) return abort();
  arm_timer(Clock::now() + kEndSoonTimeout);
}

void Socket::end_after_queue(std::uint16_t code) {
  if (ending_) return;
  close_code_ = code;
  arm_timer(Clock::now() + kDrainTimeout);
  begin_ending(code, /*ours=*/true);
}

// The peer closed, broke the rules of WebSocket (Beast has answered that), or is gone.
void Socket::lost(const Error& error) {
  if (close_code_) return;  // our own close is under way and has the connection
  lost_ = true;
  carrier_->abort();
  const bool closed = error.kind == ErrorKind::kClosed;
  begin_ending(closed ? static_cast<std::uint16_t>(error.detail) : std::uint16_t{0}, /*ours=*/false);
}

void Socket::abort() {
  carrier_->abort();
  wake_reader();
  writer_signal_.notify();
}

// Only lack of memory comes here.
void Socket::failed(const std::exception_ptr& failure) {
  log_failure(failure, "connection");
  give_up();
}

// This must do with no memory: what it can't do now, closing the connection will.
void Socket::give_up() noexcept {
  try {
    lost(make_error(ErrorKind::kClosed, "failed"));
  } catch (...) {
    carrier_->abort();
  }
  abort();
}

void Socket::coroutine_over(const std::exception_ptr& failure) {
  if (failure) failed(failure);
  if (--running_ > 0) return;
  timer_.cancel();
  begin_ending(0, /*ours=*/false);
  loop_->remove(shared_from_this());
}

// ---- silence, and writes that stand still

void Socket::arm_timer(Clock::time_point at) {
  timer_.expires_at(at);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (ec) return;
    if (const auto self = weak.lock()) self->try_on_timer();
  });
}

// Without memory for the next wait nothing else would end this socket.
void Socket::try_on_timer() {
  try {
    on_timer();
  } catch (...) {
    failed(std::current_exception());
  }
}

void Socket::on_timer() {
  const auto now = Clock::now();
  if (now < timer_.expiry()) return;  // it was set anew after this wait had ended: not its time yet
  if (ending_) {
    abort();
    return;
  }
  if (write_stalled(now)) {
    end(close_code::kBehind);
    return;
  }
  if (!reading_) last_read_ = now;  // held back by us: that is not silence
  if (now >= last_read_ + idle_timeout_) {
    end(close_code::kGoingAway);
  } else {
    arm_timer(std::min(last_read_ + idle_timeout_, now + write_timeout_ / kLooksAtWrites));
  }
}

// A peer that takes nothing keeps a message here, and another one in the kernel, for as long as it likes:
// pings of its own would keep it from being silent.
bool Socket::write_stalled(Clock::time_point now) {
  const std::size_t unsent = carrier_->unsent_bytes();
  if (!writing_ || writes_ != moved_writes_ || unsent != moved_unsent_) {
    moved_ = now;
    moved_writes_ = writes_;
    moved_unsent_ = unsent;
  }
  return now - moved_ >= write_timeout_;
}

}  // namespace zks::relay
