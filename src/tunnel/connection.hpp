// SPDX-License-Identifier: MIT
//
// One connection of a program on this machine, of a front door or from vpn's device, from its first byte to
// its last, whatever it speaks: reading with a bound and a deadline, opening a stream while the program may
// go away, last words, and the hand-over to splice. Who accepts it says what is read and written (frontdoor/,
// vpn/tcp_gate.hpp, vpn/dns_gate.hpp), and bounds and ends these by a ConnectionSet.
//
// Executor: the socket's, which is the opener's. Lifetime: shared; the coroutines below hold it through
// `self`.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/bytes.hpp"
#include "net/wakeup.hpp"
#include "tunnel/stream.hpp"

namespace zks::tunnel {

namespace asio = boost::asio;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // More waits in the kernel, which then lets the client wait.
  static constexpr std::size_t kMaxInputBytes = 16 * 1024;

  explicit Connection(Socket socket);
  ~Connection();

  // What was read and not taken yet. Taken bytes are overwritten: they may have held a password.
  ByteView input() const { return {input_.get() + input_begin_, input_end_ - input_begin_}; }
  void take(std::size_t count);
  bool input_full() const { return input().size() == kMaxInputBytes; }

  // Adds to input(), which is not full. False at the end of what the client sends, and when it is gone.
  static asio::awaitable<bool> read(std::shared_ptr<Connection> self);
  // False when the client is gone.
  static asio::awaitable<bool> write(std::shared_ptr<Connection> self, Bytes bytes);
  // Sends the end and waits for the client's, within bounds: closing a socket with unread bytes sends RST,
  // which may overtake what was written.
  static asio::awaitable<void> finish(std::shared_ptr<Connection> self);
  // Last words: write() and finish(), in bounded time.
  static asio::awaitable<void> refuse(std::shared_ptr<Connection> self, Bytes reply);

  // What the end of the client's data means while its stream is being opened: that it went away, unless data
  // came before it, as "nc -N" sends it; or nothing, where all that it had to say has been read already.
  // While it waits for an answer (watch()): that it went away, or nothing.
  enum class End : std::uint8_t { kLeaves, kMayHalfClose };
  // Opens a stream, and meanwhile reads what the client sends: only so is its leaving noticed, which ends the
  // attempt. No stream and gone() then.
  static asio::awaitable<OpenOutcome> open(std::shared_ptr<Connection> self,
                                           std::shared_ptr<StreamOpener> opener,
                                           session::Destination destination, End end);
  // Copies until both directions are over, beginning with input(). It has the socket from then on.
  static asio::awaitable<void> splice(std::shared_ptr<Connection> self, StreamPtr stream);

  // Stream's, of what it is served with.
  std::optional<session::TimePoint> half_closed_since() const;
  // `stream` is reset when the connection is aborted.
  void serve_with(const StreamPtr& stream) { stream_ = stream; }
  // Also while nobody reads, or there is more to read than anybody does: an RST of the client aborts the
  // connection, and so does its end where that says that it left. Until stop_waiting().
  void watch(End end);
  // Ends reads and watches of this connection with an error.
  void stop_waiting();

  // Ends it after `time` unless a later call says otherwise.
  void limit_time(std::chrono::milliseconds time);
  void lift_limit();
  // Ends it in whatever state it is. The coroutines return soon after.
  void abort();
  // The same, and the client sees RST: what it got was cut off.
  void reset();
  bool gone() const { return gone_; }
  // Of a TCP connection.
  asio::ip::tcp::endpoint local_endpoint() const { return local_; }
  asio::ip::tcp::endpoint remote_endpoint() const { return remote_; }
  // For the log.
  std::string remote_text() const;
  asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
  struct OpenDone;

  static asio::awaitable<void> run_open(std::shared_ptr<Connection> self,
                                        std::shared_ptr<StreamOpener> opener,
                                        session::Destination destination);
  MutableBytes free_input();
  void release_input();
  void watch_client(asio::ip::tcp::socket::wait_type event);
  void on_client_readable();
  void client_gone();
  void look_later(End end);

  Socket socket_;
  asio::ip::tcp::endpoint local_;
  asio::ip::tcp::endpoint remote_;
  asio::steady_timer deadline_;
  std::uint64_t limits_set_ = 0;
  asio::steady_timer look_;
  std::uint64_t looks_ = 0;

  std::unique_ptr<std::uint8_t[]> input_;  // kMaxInputBytes, while anything is read
  std::size_t input_begin_ = 0;
  std::size_t input_end_ = 0;

  // While a stream is being opened.
  bool opening_ = false;
  bool gone_ = false;
  End end_ = End::kLeaves;
  net::Wakeup open_ended_;
  asio::cancellation_signal cancel_open_;
  OpenOutcome outcome_;

  std::weak_ptr<Stream> stream_;
};

}  // namespace zks::tunnel
