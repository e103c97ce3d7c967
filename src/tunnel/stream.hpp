// SPDX-License-Identifier: MIT
//
// What front doors and the exit see of a session: streams as objects to await. Below is session/session.hpp,
// which knows no clock and no socket; beside it tunnel.hpp, which drives it over lanes.
//
// Executor: everything runs on the session's executor, one thread at a time. Lifetime: a Stream stays usable
// after its session ended; it is then reset with ResetCode::kSessionLost.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "net/socket.hpp"
#include "net/wakeup.hpp"
#include "session/session.hpp"
#include "tunnel/flow.hpp"
#include "tunnel/meter.hpp"
#include "tunnel/requests.hpp"

namespace zks::tunnel {

namespace asio = boost::asio;

class Tunnel;

class Stream {
 public:
  Stream(std::shared_ptr<Tunnel> tunnel, session::StreamId id);
  // Resets the stream with kCancelled unless both directions came to their end.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  session::StreamId id() const { return id_; }
  asio::any_io_executor executor() const;

  // The exit's answer to OPEN. Accepting is the exit's.
  void accept(session::Destination bound);
  void reset(session::ResetCode code);
  std::optional<session::ResetCode> reset_code() const { return reset_code_; }
  // Called once, when either side resets the stream or the session ends: for whoever waits for something else
  // than room() and readable().
  void on_reset(std::function<void()> handler) { on_reset_ = std::move(handler); }

  // Since when nothing moves, where its opener has half-closed it (session/session.hpp); null where not.
  std::optional<session::TimePoint> half_closed_since() const;

  // Sending: prepare() gives free space in up to four pieces, 0 when there is no credit: wait on room().
  std::size_t prepare(std::uint64_t max_bytes, std::array<MutableBytes, 4>& pieces);
  void commit(std::size_t count);
  void finish();
  net::Wakeup& room() { return room_; }

  // Receiving: peek() gives what arrived, 0 when there is nothing: at_end(), or wait on readable().
  std::size_t peek(std::array<ByteView, 8>& pieces);
  void consume(std::uint64_t count);
  bool at_end() const;
  void consume_end();
  net::Wakeup& readable() { return readable_; }  // also woken by a reset

 private:
  friend class Tunnel;
  void note_reset(session::ResetCode code);

  std::shared_ptr<Tunnel> tunnel_;
  session::StreamId id_;
  net::Wakeup room_;
  net::Wakeup readable_;
  std::optional<session::Destination> bound_;  // client: once the exit has connected
  std::optional<session::ResetCode> reset_code_;
  std::function<void()> on_reset_;
  bool finished_ = false;
  bool end_consumed_ = false;
};

using StreamPtr = std::shared_ptr<Stream>;

// Of a list of streams, the one that can be spared most (session/session.hpp); null when there is none.
template <class Streams>
StreamPtr longest_half_closed(const Streams& streams) {
  StreamPtr longest;
  std::optional<session::TimePoint> since;
  for (const StreamPtr& stream : streams) {
    const auto silent = stream ? stream->half_closed_since() : std::nullopt;
    if (!silent || (since && *since <= *silent)) continue;
    since = silent;
    longest = stream;
  }
  return longest;
}

struct OpenOutcome {
  StreamPtr stream;              // null when it failed
  session::ResetCode code{};     // why, when it failed
  session::Destination bound{};  // the exit's local address and port, when it worked
};

// What a front door needs of a session; Client implements it, tests fake it.
class StreamOpener {
 public:
  virtual ~StreamOpener() = default;
  virtual asio::any_io_executor executor() = 0;
  // Asks the exit to connect and waits for its answer; kTimedOut when there is no session for 10 s.
  virtual asio::awaitable<OpenOutcome> open(session::Destination destination) = 0;
  // A flow for datagrams. It may be had before a session is up and outlives sessions; what is sent while none
  // is up is lost. kRefused: the exit carries no UDP. kLimit: there are too many flows.
  virtual Result<FlowPtr> open_flow(FlowHandlers) {
    return make_error(ErrorKind::kRefused, "there is no UDP here");
  }
  // The answer of the exit's DNS servers to a whole DNS message (RFC 1035, section 4) of at most
  // session::kMaxDnsQuery bytes, up to 65,535 bytes of it whatever size the query allows over UDP: who passes
  // it on over UDP cuts it (base/dns_message.hpp). kClosed: no session is up, or it ended; kRefused: the exit
  // does not do it; kTimeout; kLimit. The caller makes SERVFAIL of these; nothing is repeated.
  virtual asio::awaitable<Result<Bytes>> resolve(Bytes) {
    co_return make_error(ErrorKind::kRefused, "there is no DNS here");
  }
  // Lets the exit ping. `handler` is called at most once, with a reply or an ICMP error; never, when nothing
  // came within kEchoWithin. The error is known at once: kClosed and kRefused as above, kLimit.
  virtual Result<> echo(EchoRequest, EchoHandler) {
    return make_error(ErrorKind::kRefused, "there is no ping here");
  }
  // What the exit said when the last session began; null before the first.
  virtual std::optional<session::ExitCapabilities> exit_capabilities() { return std::nullopt; }
};

using net::Socket;

// Copies between a socket and a stream until both directions are over: half-close becomes FIN and back,
// RST becomes RESET and back (SO_LINGER {1,0}). `early` are bytes already read from the socket. Owns the
// socket. `meter`, where there is one, says how fast.
asio::awaitable<void> splice(Socket socket, StreamPtr stream, Bytes early,
                             std::shared_ptr<Meter> meter = nullptr);

// Ends a stream that was opened and is not wanted after all.
inline void cancel(const StreamPtr& stream, session::ResetCode code) {
  stream->reset(code);
}

}  // namespace zks::tunnel
