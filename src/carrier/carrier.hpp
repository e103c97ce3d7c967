// SPDX-License-Identifier: MIT
//
// A carrier moves whole messages between two ends, in order, each arriving once or not at all. What runs
// above it (lanes, the relay) does not know whether it is a WebSocket over TLS, over plain TCP, or a pair in
// memory.
//
// Executor: every call is made on executor(). One read and one write may be outstanding at a time; close()
// counts as a write. Lifetime: the carrier outlives its outstanding calls; abort() makes them fail soon.
#pragma once

#include <cstdint>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "carrier/path.hpp"
#include "net/task.hpp"

namespace zks::carrier {

namespace asio = boost::asio;

using net::Task;

using Buffer = boost::beast::flat_buffer;

enum class MessageType : std::uint8_t { kText, kBinary };

class Carrier {
 public:
  virtual ~Carrier() = default;

  virtual asio::any_io_executor executor() = 0;

  // Reads the next message into `buffer`, which is cleared first. kClosed (detail: close code, 0 without one)
  // when the other end closed or the connection broke; kLimit when the message was over the limit.
  virtual Task<MessageType> read(Buffer& buffer) = 0;

  // Sends one message. `message` must stay valid until this completes. Completes when the kernel (or the
  // pair) took the whole message, so a slow path holds the writer back.
  virtual Task<> write(MessageType type, ByteView message) = 0;

  // The WebSocket closing handshake with `code`, at most 3 s of it, then the connection is gone.
  virtual Task<> close(std::uint16_t code) = 0;

  // Drops the connection at once; outstanding calls complete with kClosed. May be called at any time,
  // repeatedly.
  virtual void abort() noexcept = 0;

  // Bytes handed to the kernel that the peer's kernel has not acknowledged (SIOCOUTQ); 0 where unknown.
  virtual std::size_t unsent_bytes() const noexcept = 0;

  // Bytes came within the last half second, if not a whole message; false where unknown.
  virtual bool arriving() const noexcept { return false; }

  // Looks at what the path lets through (segment_limits.hpp), for a connection that was dialled. False: all
  // is known.
  virtual bool look_at_path(Silence /*silence*/) noexcept { return false; }

  // How it was dialled; all empty for a connection that was accepted or is in memory.
  const Path& path() const { return path_; }
  void set_path(Path path) { path_ = std::move(path); }

 private:
  Path path_;
};

using CarrierPtr = std::unique_ptr<Carrier>;

// WebSocket close codes of the protocol (PROTOCOL.md, "The relay").
namespace close_code {
inline constexpr std::uint16_t kNormal = 1000;
inline constexpr std::uint16_t kGoingAway = 1001;
inline constexpr std::uint16_t kPolicy = 1008;  // a text message that is not relay control
inline constexpr std::uint16_t kTooBig = 1009;
inline constexpr std::uint16_t kRestart = 1012;    // the relay stops; redial
inline constexpr std::uint16_t kOther = 4000;      // the other half closed with a code that is not passed on
inline constexpr std::uint16_t kForbidden = 4403;  // registration or handshake refused
inline constexpr std::uint16_t kNoExit = 4404;
inline constexpr std::uint16_t kReplaced = 4409;  // a newer control socket of this instance took over
inline constexpr std::uint16_t kPairGone = 4410;
inline constexpr std::uint16_t kBehind = 4413;  // more than the window behind the oldest mark not echoed
}  // namespace close_code

}  // namespace zks::carrier
