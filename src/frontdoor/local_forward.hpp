// SPDX-License-Identifier: MIT
//
// One -L: whatever connects to a local address or unix socket goes to one destination behind the exit.
//
// Bound: max_connections; more are closed at once. Executor: the opener's. Lifetime: shared; the coroutines
// of its connections hold it.
#pragma once

#include <chrono>
#include <memory>

#include "frontdoor/forward_spec.hpp"
#include "net/accept_loop.hpp"
#include "tunnel/connection_set.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

class LocalForward : public std::enable_shared_from_this<LocalForward> {
 public:
  static constexpr std::size_t kMaxConnections = 4096;

  // kIo when the address can't be listened on. `beside`: what else the program listens on.
  static Result<std::shared_ptr<LocalForward>> listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                      ForwardSpec spec,
                                                      std::size_t max_connections = kMaxConnections,
                                                      const net::Endpoints& beside = {});
  LocalForward(std::shared_ptr<tunnel::StreamOpener> opener, ForwardSpec spec,
               std::vector<net::Acceptor> acceptors, std::size_t max_connections);
  ~LocalForward();
  LocalForward(const LocalForward&) = delete;
  LocalForward& operator=(const LocalForward&) = delete;

  // The first, with the port that the kernel chose when the one asked for was 0.
  std::string address() const;
  void start() { loop_->start(); }
  // No new connections; a unix socket is removed.
  void close();
  // The same, and what is open may finish until `deadline`.
  asio::awaitable<void> stop(std::chrono::steady_clock::time_point deadline);
  std::size_t connections() const { return connections_.size(); }

 private:
  void admit(tunnel::Socket socket);
  static asio::awaitable<void> serve(std::shared_ptr<LocalForward> self,
                                     std::shared_ptr<tunnel::Connection> client,
                                     std::unique_ptr<tunnel::ConnectionSet::Membership> membership);

  std::shared_ptr<tunnel::StreamOpener> opener_;
  ForwardSpec spec_;
  std::shared_ptr<net::AcceptLoop> loop_;
  tunnel::ConnectionSet connections_;
  net::Wakeup ended_;  // a connection
  bool closed_ = false;
};

}  // namespace zks::frontdoor
