// SPDX-License-Identifier: MIT
//
// Joins a socket and a stream: the client's last step before the session, and the exit's first after it.
// Two coroutines, one a direction, share the socket. Bytes go from the socket into the session's memory and
// from there into the socket; what is held for a slow reader is exactly the stream's credit.
#include <limits>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/log.hpp"
#include "base/memory_reserve.hpp"
#include "tunnel/stream.hpp"
#include "tunnel/user_socket.hpp"

namespace zks::tunnel {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::ResetCode;

constexpr std::uint64_t kReadBytes = 64 * 1024;
constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
// As much is written at once before others have their turn.
constexpr std::uint64_t kWriteBytes = 256 * 1024;
// A program that closed its socket reads nothing more. What it wrote has this long to get through, as the
// kernel has it for TCP (FIN-WAIT-2; an answer after that is met by RST).
constexpr std::chrono::seconds kAfterHangUp{60};

// Shared by both directions; the last to let go closes the socket.
struct Splice : std::enable_shared_from_this<Splice> {
  Splice(Socket s, StreamPtr st, std::shared_ptr<Meter> m)
      : socket(std::move(s)), stream(std::move(st)), meter(std::move(m)) {}

  std::uint64_t ask(Meter::Direction direction, Meter::Waiter& waiter) {
    return meter ? meter->ask(direction, waiter) : kUnlimited;
  }
  void passed(Meter::Direction direction, Meter::Waiter& waiter, std::uint64_t bytes) {
    if (meter) meter->passed(direction, waiter, bytes);
  }

  // Ends both directions: the application sees RST, the peer RESET.
  void abort(ResetCode code) {
    stream->reset(code);
    if (!socket.is_open()) return;
    error_code ignored;
    socket.set_option(asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
  }

  // An RST, or the end of keep-alive's patience, goes unnoticed while there is no credit, since nobody reads
  // the socket then, and once its end was read.
  void watch() {
    watching = true;
    socket.async_wait(tcp::socket::wait_error, [weak = weak_from_this()](const error_code& ec) {
      if (const auto self = weak.lock(); self && !ec && self->socket.is_open()) self->on_event();
    });
  }

  void on_event() {
    watching = false;
    const int handle = socket.native_handle();
    if (const auto failure = take_socket_error(handle)) return abort(reset_code_of_death(failure));
    hung_up = is_hung_up(handle);
    if (hung_up && !reading) wait_no_longer();
    // Otherwise it was an urgent byte (POLLPRI), which stays one until it is read: watched again after that.
  }

  void reading_over() {
    reading = false;
    reading_done.notify();
    if (hung_up) wait_no_longer();
  }

  void wait_no_longer() {
    patience.expires_after(kAfterHangUp);
    patience.async_wait([weak = weak_from_this()](const error_code& ec) {
      if (const auto self = weak.lock(); self && !ec) self->abort(ResetCode::kConnectionReset);
    });
  }

  Socket socket;
  StreamPtr stream;
  std::shared_ptr<Meter> meter;  // the exit's, where what the socket sends is on its way down to the client
  net::Wakeup reading_done{socket.get_executor()};
  bool reading = true;
  bool watching = false;
  bool hung_up = false;
  asio::steady_timer patience{socket.get_executor()};
};

using SplicePtr = std::shared_ptr<Splice>;

template <class Buffer, std::size_t N, class View>
std::array<Buffer, N> to_buffers(const std::array<View, N>& pieces, std::size_t count) {
  std::array<Buffer, N> out;
  for (std::size_t i = 0; i < count; ++i) out[i] = Buffer(pieces[i].data(), pieces[i].size());
  return out;
}

// Moves what the socket has into the stream, at most `most` bytes. False at the end of the direction.
bool read_some(Splice& splice, std::uint64_t most, Meter::Waiter& waiter, bool& drained) {
  std::array<MutableBytes, 4> pieces;
  const std::size_t count = splice.stream->prepare(std::min(most, kReadBytes), pieces);
  error_code ec;
  std::size_t got = 0;
  if (count != 0) {
    got = splice.socket.read_some(to_buffers<asio::mutable_buffer>(pieces, count), ec);
    splice.stream->commit(got);
  }
  splice.passed(Meter::Direction::kDown, waiter, got);
  if (count == 0) return true;  // no credit
  if (!ec) return true;
  if (ec == asio::error::would_block) {
    drained = true;
    return true;
  }
  if (ec == asio::error::eof) {
    splice.stream->finish();
  } else {
    splice.abort(reset_code_of_death(ec));
  }
  return false;
}

asio::awaitable<void> write_early(SplicePtr splice, Bytes early) {
  ByteView rest(early);
  while (!rest.empty() && !splice->stream->reset_code()) {
    std::array<MutableBytes, 4> pieces;
    if (splice->stream->prepare(rest.size(), pieces) == 0) {
      co_await splice->stream->room().wait();
      continue;
    }
    const std::size_t size = std::min(rest.size(), pieces[0].size());
    std::memcpy(pieces[0].data(), rest.data(), size);
    splice->stream->commit(size);
    rest = rest.subspan(size);
  }
}

asio::awaitable<void> socket_to_stream(SplicePtr splice, Bytes early) {
  co_await write_early(splice, std::move(early));
  Meter::Waiter waiter(splice->stream->room());
  bool drained = false;
  while (!splice->stream->reset_code() && splice->socket.is_open()) {
    std::array<MutableBytes, 4> pieces;
    if (drained) {
      const auto [ec] =
          co_await splice->socket.async_wait(tcp::socket::wait_read, asio::as_tuple(asio::use_awaitable));
      drained = false;
      if (ec) break;
    } else if (splice->stream->prepare(1, pieces) == 0) {
      co_await splice->stream->room().wait();
      continue;
    }
    if (MemoryReserve::is_lacking()) {  // what gives way has its turn first
      co_await asio::post(splice->socket.get_executor(), asio::use_awaitable);
      continue;
    }
    const std::uint64_t most = splice->ask(Meter::Direction::kDown, waiter);
    if (most == 0) {
      co_await splice->stream->room().wait();
      continue;
    }
    if (!read_some(*splice, most, waiter, drained)) break;
    if (!splice->watching && !splice->hung_up) splice->watch();
    co_await asio::post(splice->socket.get_executor(), asio::use_awaitable);  // others have their turn
  }
}

// Cuts the pieces down to `most` bytes; how many are left.
std::size_t cut(std::array<ByteView, 8>& pieces, std::size_t count, std::uint64_t most) {
  for (std::size_t i = 0; i < count; ++i) {
    pieces[i] = pieces[i].first(static_cast<std::size_t>(std::min<std::uint64_t>(pieces[i].size(), most)));
    most -= pieces[i].size();
    if (most == 0) return i + 1;
  }
  return count;
}

// Moves what the stream has into the socket. False when the socket failed.
bool write_some(Splice& splice, const std::array<ByteView, 8>& pieces, std::size_t count,
                Meter::Waiter& waiter, bool& full, std::uint64_t& written) {
  error_code ec;
  const auto buffers = to_buffers<asio::const_buffer>(pieces, count);
  const std::size_t sent = splice.socket.write_some(buffers, ec);
  if (sent > 0) splice.stream->consume(sent);
  splice.passed(Meter::Direction::kUp, waiter, sent);
  written += sent;
  if (ec == asio::error::would_block) {
    full = true;
    return true;
  }
  if (!ec) return true;
  splice.abort(reset_code_of_death(ec));
  return false;
}

asio::awaitable<void> stream_to_socket(SplicePtr splice) {
  Meter::Waiter waiter(splice->stream->readable());
  bool full = false;
  std::uint64_t written = 0;  // since others had their turn
  while (!splice->stream->reset_code() && splice->socket.is_open()) {
    if (full) {
      const auto [ec] =
          co_await splice->socket.async_wait(tcp::socket::wait_write, asio::as_tuple(asio::use_awaitable));
      full = false;
      if (ec) break;
    }
    std::array<ByteView, 8> pieces;
    const std::size_t count = splice->stream->peek(pieces);
    if (count > 0) {
      if (written >= kWriteBytes) {
        written = 0;
        co_await asio::post(splice->socket.get_executor(), asio::use_awaitable);
        continue;
      }
      const std::uint64_t most = splice->ask(Meter::Direction::kUp, waiter);
      if (most == 0) {
        co_await splice->stream->readable().wait();
      } else if (!write_some(*splice, pieces, cut(pieces, count, most), waiter, full, written)) {
        break;
      }
    } else if (splice->stream->at_end()) {
      error_code ignored;
      splice->socket.shutdown(tcp::socket::shutdown_send, ignored);
      splice->stream->consume_end();
      break;
    } else {
      co_await splice->stream->readable().wait();
    }
  }
}

}  // namespace

asio::awaitable<void> splice(Socket socket, StreamPtr stream, Bytes early, std::shared_ptr<Meter> meter) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);  // a unix socket knows none
  tune_user_socket(socket.native_handle());
  const auto splice = std::make_shared<Splice>(std::move(socket), std::move(stream), std::move(meter));
  splice->watch();
  // Whatever the two directions are waiting for, also a reader that never reads: closing the socket ends it.
  splice->stream->on_reset([weak = std::weak_ptr(splice)] {
    if (const auto self = weak.lock()) self->abort(*self->stream->reset_code());
  });
  if (splice->stream->reset_code()) splice->abort(*splice->stream->reset_code());
  asio::co_spawn(splice->socket.get_executor(), socket_to_stream(splice, std::move(early)),
                 [splice](std::exception_ptr failure) {
                   if (failure) splice->abort(ResetCode::kGeneralFailure);
                   splice->reading_over();
                 });
  co_await stream_to_socket(splice);
  while (splice->reading) co_await splice->reading_done.wait();
}

}  // namespace zks::tunnel
