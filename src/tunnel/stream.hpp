// SPDX-License-Identifier: MIT
//
// What front doors and the exit see of a session: streams as objects to await. Below is session/session.hpp, which
// knows no clock and no socket; beside it tunnel.hpp, which drives it over lanes.
//
// Executor: everything runs on the session's executor, one thread at a time. Lifetime: a Stream stays usable after
// its session ended; every call then fails with ResetCode::kSessionLost.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/bytes.hpp"
#include "session/destination.hpp"

namespace zks::tunnel {

namespace asio = boost::asio;

class Stream;
using StreamPtr = std::shared_ptr<Stream>;

struct OpenOutcome {
  StreamPtr stream;             // null when it failed
  session::ResetCode code{};    // why, when it failed
  session::Destination bound;   // the exit's local address and port, when it worked
};

// What a front door needs of a session; Client implements it, tests fake it.
class StreamOpener {
 public:
  virtual ~StreamOpener() = default;
  virtual asio::any_io_executor executor() = 0;
  // Asks the exit to connect and waits for its answer, or for `kTimedOut` (no lane within 10 s).
  virtual asio::awaitable<OpenOutcome> open(session::Destination destination) = 0;
};

// Copies between a TCP socket and a stream until both directions are over: half-close becomes FIN and back, RST
// becomes RESET and back (SO_LINGER {1,0}). `early` are bytes already read from the socket. Owns the socket.
asio::awaitable<void> splice(asio::ip::tcp::socket socket, StreamPtr stream, Bytes early);

// Ends a stream that was opened and is not wanted after all.
void cancel(const StreamPtr& stream, session::ResetCode code);

}  // namespace zks::tunnel
