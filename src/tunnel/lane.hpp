// SPDX-License-Identifier: MIT
//
// A lane: one WebSocket through one pair room, with its own keys. Its reader opens records and hands the
// frames to the owner; its writer asks the owner for frames whenever the carrier can take a message, seals
// and sends them. Whatever is ready leaves at once; nothing waits to be batched, a busy carrier does the
// batching.
//
// Executor: the carrier's. Lifetime: shared; its two coroutines hold it until the carrier is gone. The owner
// calls detach() before it dies.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "carrier/carrier.hpp"
#include "net/wakeup.hpp"
#include "session/frames.hpp"
#include "tunnel/handshake.hpp"
#include "tunnel/path_watch.hpp"
#include "tunnel/status.hpp"

namespace zks::tunnel {

namespace asio = boost::asio;

class LaneOwner {
 public:
  virtual ~LaneOwner() = default;
  // The frames of a record that was `record_bytes` long.
  virtual void on_record(session::LaneNumber lane, ByteView frames, std::size_t record_bytes) = 0;
  // Fills `out` with the lane's next frames; 0 when there is nothing to send.
  virtual std::size_t compose(session::LaneNumber lane, MutableBytes out) = 0;
  // The lane is over; called once, from the executor.
  virtual void on_lane_end(session::LaneNumber lane, const Error& why) = 0;
};

class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(session::LaneNumber number, carrier::CarrierPtr carrier, LaneKeys keys, LaneOwner& owner);

  void start();
  void detach() { owner_ = nullptr; }
  void wake() { wakeup_.notify(); }  // the owner may have something to send
  void close(std::uint16_t code);    // after what compose() still gives
  void abort();
  std::size_t undrained_bytes() const { return carrier_->unsent_bytes(); }
  bool arriving() const { return carrier_->arriving(); }
  // Its path, age and key epochs; what it carried is the session's to say.
  LaneStatus status() const;

 private:
  static asio::awaitable<void> read_loop(std::shared_ptr<Lane> self);
  static asio::awaitable<void> write_loop(std::shared_ptr<Lane> self);
  asio::awaitable<Error> read_until_error();
  asio::awaitable<Error> write_until_error();
  Result<> on_text(std::string_view text);
  Result<> on_key(const carrier::NewKey& key);
  Result<> answer(std::string text);
  void finished(std::exception_ptr failure);
  void fail(Error error);
  void schedule_relay_ping();
  void ask_relay();
  void watch_path();
  void look_at_path();

  session::LaneNumber number_;
  carrier::CarrierPtr carrier_;
  LaneKeys keys_;
  LaneOwner* owner_;
  net::Wakeup wakeup_;
  asio::steady_timer relay_ping_;
  asio::steady_timer close_deadline_;
  PathWatch path_watch_;
  asio::steady_timer path_clock_;  // runs while path_watch_ waits for something
  std::deque<std::string> texts_;  // to the relay, ahead of records; at most kMaxTexts
  std::optional<std::uint16_t> closing_;
  std::optional<Error> error_;
  int running_ = 0;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace zks::tunnel
