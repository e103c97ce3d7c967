// SPDX-License-Identifier: MIT
//
// What a front door asks of an exit beside streams and flows: DNS queries and pings (PROTOCOL.md,
// "Requests"). Below is session/requests.hpp, where a request or its answer may be lost; here stands
// who waits for it. StreamOpener (stream.hpp) offers them, tunnel.hpp sends them.
//
// Bounds: kMaxQuestions queries, one more fails; kMaxPings pings, the oldest makes room.
//
// Executor: the session's. Lifetime: the tunnel's.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.hpp"
#include "session/session.hpp"

namespace zks::tunnel {

namespace asio = boost::asio;

inline constexpr std::size_t kMaxQuestions = 1024;
inline constexpr std::size_t kMaxPings = 1024;
inline constexpr auto kResolveWithin = std::chrono::seconds(12);  // the exit gives up after 10 s
inline constexpr auto kEchoWithin = std::chrono::seconds(10);

struct EchoRequest {
  session::Destination address;  // not a name; its port means nothing
  std::uint8_t hop_limit = 64;
  ByteView data;  // valid during the call
};

// A type that ICMP and ICMPv6 have reserved: the exit did not send the request, because of its bounds or the
// invite's.
inline constexpr session::IcmpError kEchoNotSent{255, 0};

// What came back from the network, as it came, or what the exit itself says: nothing is made up.
struct EchoAnswer {
  session::Destination from;
  session::IcmpError said;     // type and code of ICMP, or of ICMPv6 where `from` is IPv6
  std::uint8_t hop_limit = 0;  // that it arrived with at the exit; 0: unknown
  ByteView data;               // of a reply; valid during the call

  bool is_reply() const {
    return said.type == (from.kind == session::Destination::Kind::kIpv4 ? 0 : 129) && said.code == 0;
  }
};
using EchoHandler = std::function<void(const EchoAnswer&)>;

class Requests {
 public:
  explicit Requests(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  bool full() const { return questions_.size() >= kMaxQuestions; }
  // The answer to a query that was sent under this id. kTimeout after kResolveWithin, kClosed after close().
  asio::awaitable<Result<Bytes>> await_answer(session::RequestId id);
  // `handler` is called at most once, and not after kEchoWithin.
  void await_echo(session::RequestId id, EchoHandler handler);

  void on(session::ResolvedEvent& event);
  void on(const session::EchoReplyEvent& event);
  void close();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Question {
    explicit Question(const asio::any_io_executor& executor) : timer(executor, kResolveWithin) {}
    asio::steady_timer timer;
    std::optional<Bytes> answer;
    bool closed = false;
  };
  struct Ping {
    EchoHandler handler;
    TimePoint until;
  };

  asio::any_io_executor executor_;
  std::map<session::RequestId, std::shared_ptr<Question>> questions_;
  std::map<session::RequestId, Ping> pings_;  // ids count up: the oldest first
};

}  // namespace zks::tunnel
