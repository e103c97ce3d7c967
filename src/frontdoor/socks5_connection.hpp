// SPDX-License-Identifier: MIT
//
// One SOCKS5 client from its first byte to its last: handshake (socks5_parser.hpp), a stream to the
// destination (tunnel::StreamOpener), the reply, and then tunnel::splice. socks5_server.hpp accepts, bounds
// and ends these.
//
// Executor: the socket's, which is the opener's. Lifetime: shared; the coroutines below hold it through
// `self`.
#pragma once

#include <chrono>
#include <memory>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "carrier/signal.hpp"
#include "frontdoor/credentials.hpp"
#include "frontdoor/socks5_parser.hpp"
#include "tunnel/stream.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

class Socks5Connection : public std::enable_shared_from_this<Socks5Connection> {
 public:
  explicit Socks5Connection(asio::ip::tcp::socket socket);

  // Until the client asked for a destination: true. False when it went away, took longer than `timeout` or
  // was refused (and told so). `credentials` as in Socks5Parser.
  static asio::awaitable<bool> handshake(std::shared_ptr<Socks5Connection> self,
                                         std::shared_ptr<const Credentials> credentials,
                                         std::chrono::milliseconds timeout);

  // Opens the stream, replies and copies until both directions are over. A client that goes away before the
  // reply ends the attempt. One that only half-closed after it sent data, as "nc -N" does, has not gone away.
  static asio::awaitable<void> serve(std::shared_ptr<Socks5Connection> self,
                                     std::shared_ptr<tunnel::StreamOpener> opener);

  // Ends it in whatever state it is. The coroutines return soon after.
  void abort();

 private:
  struct OpenDone;

  static asio::awaitable<void> open(std::shared_ptr<Socks5Connection> self,
                                    std::shared_ptr<tunnel::StreamOpener> opener);
  static asio::awaitable<void> refuse(std::shared_ptr<Socks5Connection> self, Bytes reply);
  void watch_client(asio::ip::tcp::socket::wait_type event);
  void on_client_readable();
  void client_gone();
  void arm_deadline(std::chrono::milliseconds time);

  asio::ip::tcp::socket socket_;
  asio::steady_timer deadline_;
  session::Destination destination_;
  Bytes early_;  // what the client sent behind its request; at most kMaxEarlyBytes are read before the reply

  // While the stream is being opened.
  bool opening_ = false;
  bool gone_ = false;
  carrier::Signal open_ended_;
  asio::cancellation_signal cancel_open_;
  tunnel::OpenOutcome outcome_;

  std::weak_ptr<tunnel::Stream> spliced_;
};

}  // namespace zks::frontdoor
