// SPDX-License-Identifier: MIT
//
// The SOCKS5 front door: accepts clients on a local address and gives each a stream of the tunnel. What
// happens to one client is in socks5_connection.hpp; here are the bounds and the end.
//
// Bounds: `max_handshakes` clients that have not yet said where they want to go. At that bound the oldest of
// them is closed for a new one, since an honest handshake takes milliseconds and only a stuck or hostile one
// is old. `max_connections` clients in all; at that bound a new one is closed at once.
//
// Executor: the opener's. Lifetime: shared; start()'s coroutine holds it until stop().
#pragma once

#include <chrono>
#include <list>
#include <memory>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.hpp"
#include "carrier/signal.hpp"
#include "frontdoor/credentials.hpp"
#include "frontdoor/socks5_connection.hpp"
#include "tunnel/stream.hpp"

namespace zks::frontdoor {

struct Socks5Options {
  asio::ip::tcp::endpoint listen;
  std::shared_ptr<const Credentials> credentials;  // null: none are asked for
  std::size_t max_connections = 4096;
  std::size_t max_handshakes = 1024;
  std::chrono::milliseconds handshake_timeout{10'000};
  std::chrono::milliseconds drain_timeout{5'000};  // for streams to finish after stop()
};

class Socks5Server : public std::enable_shared_from_this<Socks5Server> {
 public:
  // kIo when the address can't be listened on.
  static Result<std::shared_ptr<Socks5Server>> listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                      Socks5Options options);
  Socks5Server(std::shared_ptr<tunnel::StreamOpener> opener, Socks5Options options,
               asio::ip::tcp::acceptor acceptor);

  // With the port that the kernel chose when the one asked for was 0.
  asio::ip::tcp::endpoint local_endpoint() const { return local_; }
  void start();
  // Refuses new clients and drops unfinished handshakes at once, lets what is open finish until
  // drain_timeout, then ends the rest. Returns when nothing of this server is left running.
  asio::awaitable<void> stop();

  std::size_t connections() const { return connections_.size(); }
  std::size_t handshakes() const { return handshakes_.size(); }

 private:
  using Connections = std::list<std::shared_ptr<Socks5Connection>>;
  struct Membership;
  struct Served;

  static asio::awaitable<void> accept_loop(std::shared_ptr<Socks5Server> self);
  static asio::awaitable<void> serve(std::shared_ptr<Socks5Server> self,
                                     std::shared_ptr<Socks5Connection> connection,
                                     std::unique_ptr<Membership> among_all,
                                     std::unique_ptr<Membership> among_handshakes);
  void admit(asio::ip::tcp::socket socket);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  Socks5Options options_;
  asio::ip::tcp::acceptor acceptor_;
  asio::ip::tcp::endpoint local_;
  asio::steady_timer backoff_;
  Connections connections_;
  Connections handshakes_;  // those of them that are not through it, the oldest first
  carrier::Signal ended_;   // a connection or the accept loop
  bool accepting_ = false;
  bool stopping_ = false;
};

}  // namespace zks::frontdoor
