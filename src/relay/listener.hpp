// SPDX-License-Identifier: MIT
//
// Listener: accepts on one address and deals the connections out to the loops in turn. Connection.hpp comes
// next.
#pragma once

#include <memory>

#include <boost/asio/ip/tcp.hpp>

#include "relay/relay.hpp"

namespace zks::relay {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  // kIo when the address can't be bound.
  static Result<std::shared_ptr<Listener>> bind(RelayPtr relay, std::shared_ptr<Loop> loop,
                                                const asio::ip::tcp::endpoint& address, bool ipv6_only);

  void start();
  void stop();  // from any thread
  const asio::ip::tcp::endpoint& address() const { return address_; }

  Listener(RelayPtr relay, std::shared_ptr<Loop> loop, asio::ip::tcp::acceptor acceptor);

 private:
  static asio::awaitable<void> accept_connections(std::shared_ptr<Listener> self);
  asio::awaitable<void> accept_one();
  void admit(const std::shared_ptr<Loop>& loop, asio::ip::tcp::socket socket);
  asio::awaitable<void> pause();

  RelayPtr relay_;
  std::shared_ptr<Loop> loop_;
  asio::ip::tcp::acceptor acceptor_;
  asio::ip::tcp::endpoint address_;
  asio::steady_timer pause_timer_;
  std::size_t next_loop_ = 0;
  bool stopping_ = false;
};

}  // namespace zks::relay
