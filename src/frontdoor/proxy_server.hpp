// SPDX-License-Identifier: MIT
//
// The proxy of one local address, or one of each family. It accepts clients, and the first byte of each says
// what it speaks: SOCKS5, SOCKS4 (socks_door.hpp) or HTTP (http_door.hpp). Here are the bounds and the end.
//
// Bounds: `max_handshakes` clients that have not yet said where they want to go, or not what they want next
// on an HTTP connection that is kept alive. At that bound the oldest of them is closed for a new one: an
// honest handshake takes milliseconds, only a stuck or hostile one is old, and a connection that nothing is
// asked on may be closed at any time. `max_connections` clients in all; at that bound a new one is closed at
// once. `max_associations` of them with UDP ASSOCIATE; one more is refused.
//
// Executor: the opener's. Lifetime: shared; coroutines of connections hold it.
#pragma once

#include <chrono>
#include <memory>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.hpp"
#include "frontdoor/credentials.hpp"
#include "net/accept_loop.hpp"
#include "net/wakeup.hpp"
#include "tunnel/connection_set.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

struct ProxyServerOptions {
  net::Endpoints listen;
  net::Endpoints beside;                           // what else the program listens on
  std::shared_ptr<const Credentials> credentials;  // null: none are asked for
  std::size_t max_connections = 4096;
  std::size_t max_handshakes = 1024;
  std::size_t max_associations = 512;
  std::chrono::milliseconds handshake_timeout{10'000};  // of SOCKS; for the header of an HTTP request
  std::chrono::milliseconds idle_timeout{60'000};       // between two HTTP requests
  // For the rest of an answer's header or of a line between chunks, either way, once it has begun.
  std::chrono::milliseconds line_timeout{60'000};
  std::chrono::milliseconds drain_timeout{5'000};  // for streams to finish after stop()
};

class ProxyServer : public std::enable_shared_from_this<ProxyServer> {
 public:
  // kIo when the address can't be listened on.
  static Result<std::shared_ptr<ProxyServer>> listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                     ProxyServerOptions options);
  ProxyServer(std::shared_ptr<tunnel::StreamOpener> opener, ProxyServerOptions options,
              std::vector<net::Acceptor> acceptors);
  ~ProxyServer();
  ProxyServer(const ProxyServer&) = delete;
  ProxyServer& operator=(const ProxyServer&) = delete;

  // The first, with the port that the kernel chose when the one asked for was 0.
  asio::ip::tcp::endpoint local_endpoint() const { return loop_->local_endpoint(); }
  void start();
  // Refuses new clients and drops unfinished handshakes at once, lets what is open finish until
  // drain_timeout, then ends the rest. Returns when nothing of this server is left running.
  asio::awaitable<void> stop();

  std::size_t connections() const { return connections_.size(); }
  std::size_t handshakes() const { return handshakes_.size(); }

 private:
  struct Served;

  static asio::awaitable<void> serve(std::shared_ptr<ProxyServer> self,
                                     std::shared_ptr<tunnel::Connection> client,
                                     std::unique_ptr<tunnel::ConnectionSet::Membership> among_all,
                                     std::unique_ptr<tunnel::ConnectionSet::Membership> among_handshakes);
  static asio::awaitable<void> serve_socks_client(
      std::shared_ptr<ProxyServer> self, std::shared_ptr<tunnel::Connection> client,
      std::unique_ptr<tunnel::ConnectionSet::Membership> among_handshakes);
  void admit(tunnel::Socket socket);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  ProxyServerOptions options_;
  std::shared_ptr<net::AcceptLoop> loop_;
  tunnel::ConnectionSet connections_;
  tunnel::ConnectionSet associations_;  // those of them with UDP ASSOCIATE
  tunnel::ConnectionSet handshakes_;    // those of them that are not through it
  net::Wakeup ended_;                   // a connection
  bool stopping_ = false;
};

}  // namespace zks::frontdoor
