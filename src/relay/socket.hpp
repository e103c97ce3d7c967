// SPDX-License-Identifier: MIT
//
// Socket: an upgraded connection that has its place in a room. It reads messages, sends what is queued,
// answers pings, notices silence, and ends with a close code. half.hpp and exit_socket.hpp say what the
// messages mean.
//
// Executor: everything on the loop's thread, start() included. Lifetime: the loop owns it from start() until
// reading and writing are over.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "carrier/carrier.hpp"
#include "carrier/relay_control.hpp"
#include "net/wakeup.hpp"
#include "relay/loop.hpp"

namespace zks::relay {

class Socket : public LiveSocket, public std::enable_shared_from_this<Socket> {
 public:
  Socket(std::shared_ptr<Loop> loop, carrier::CarrierPtr carrier, std::chrono::milliseconds idle_timeout,
         std::chrono::milliseconds write_timeout);

  void start();
  const std::shared_ptr<Loop>& loop() const { return loop_; }
  const asio::any_io_executor& executor() const { return loop_->executor(); }

  // Ends with `code`: what is queued is dropped, what is being written gets a few seconds.
  void end(std::uint16_t code);
  // Ends with `code`, in half a second at most, and at once where a message is being written: what it holds
  // is needed.
  void end_soon(std::uint16_t code);
  // Ends with `code` after what is queued, for which a slow receiver gets longer.
  void end_after_queue(std::uint16_t code);
  bool ending() const { return ending_; }

  void shut_down() override { end(carrier::close_code::kRestart); }
  void abort() override;

 protected:
  // What a message means; the close code to end with when it means nothing good, otherwise 0.
  virtual std::uint16_t on_control(const carrier::Control& message) = 0;
  // The next read waits for it.
  virtual asio::awaitable<std::uint16_t> on_binary(carrier::Buffer message) = 0;
  // Runs before each read: while it waits, the peer is held back.
  virtual asio::awaitable<void> before_read() = 0;
  // A binary message of that many bytes went to the kernel.
  virtual void on_sent(std::size_t bytes) = 0;
  // The key of that epoch is about to be written.
  virtual void on_key(std::uint64_t epoch) = 0;
  // Once, when the end begins. `code` is the peer's close code (0: none came) or, if `ours`, the one we end
  // with.
  virtual void on_ending(std::uint16_t code, bool ours) = 0;

  // False when too many wait already; the text is dropped then.
  bool send_text(std::string text);
  // Whoever calls it calls write_queued() next.
  void send_binary(carrier::Buffer message);
  // Writes what is queued now, in the caller's coroutine, unless that is under way already.
  asio::awaitable<void> write_queued();
  // Behind every binary message that is queued: they may be sealed in the epoch before the last.
  void send_key(carrier::NewKey key);
  void allow_messages_of(std::size_t bytes);
  // Bytes of the message that is being read, as far as memory was taken for it, and of those to be written.
  std::size_t held_bytes() const;
  net::Wakeup& reader_signal() { return reader_signal_; }
  Counters& counters() { return loop_->counters(); }
  void wake_reader() { reader_signal_.notify(); }

 private:
  // Marks of one window, a pong or two, knocks: more than that is a peer that does not read.
  static constexpr std::size_t kMaxTexts = 128;
  // A peer that sends pings and does not read pongs is not read from.
  static constexpr std::size_t kMaxTextsToRead = 96;
  static constexpr std::chrono::seconds kEndTimeout{6};
  static constexpr std::chrono::milliseconds kEndSoonTimeout{500};
  static constexpr std::chrono::seconds kDrainTimeout{30};

  static asio::awaitable<void> read_messages(std::shared_ptr<Socket> self);
  static asio::awaitable<void> write_messages(std::shared_ptr<Socket> self);
  std::uint16_t on_text(std::string_view text);
  class Incoming;
  class Writing;
  using InOrder = std::variant<carrier::Buffer, carrier::NewKey>;

  bool has_queued() const { return !texts_.empty() || !order_.empty(); }
  carrier::Task<> write_next();
  carrier::Task<> write_text(std::string text);
  void lost(const Error& error);
  void failed(const std::exception_ptr& failure);
  void give_up() noexcept;
  void begin_ending(std::uint16_t code, bool ours);
  void coroutine_over(const std::exception_ptr& failure);
  void arm_timer(std::chrono::steady_clock::time_point at);
  void try_on_timer();
  void on_timer();
  bool write_stalled(std::chrono::steady_clock::time_point now);

  std::shared_ptr<Loop> loop_;
  carrier::CarrierPtr carrier_;
  const std::chrono::milliseconds idle_timeout_;
  const std::chrono::milliseconds write_timeout_;

  std::deque<std::string> texts_;              // sent before anything in order_
  const carrier::Buffer* incoming_ = nullptr;  // while it is read to
  std::size_t outgoing_bytes_ = 0;             // while a message of that many is being written
  std::deque<InOrder> order_;  // the other half keeps this at 1 message; 1 key until it is answered
  net::Wakeup writer_signal_;
  net::Wakeup reader_signal_;

  asio::steady_timer timer_;  // first for silence, then for the end
  std::chrono::steady_clock::time_point last_read_;
  // How far writing was when it was last seen to move: writes that were over, bytes that the peer's kernel
  // has not acknowledged.
  std::chrono::steady_clock::time_point moved_;
  std::uint64_t writes_ = 0, moved_writes_ = 0;
  std::size_t moved_unsent_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool ending_ = false;
  bool lost_ = false;
  std::optional<std::uint16_t> close_code_;
  int running_ = 0;
};

}  // namespace zks::relay
