// SPDX-License-Identifier: MIT
//
// --metrics: a small HTTP server for Prometheus. GET /metrics answers what the collectables say at that
// moment, GET /healthz that the program runs and has no fault (200), or has one (503); nothing else is
// served, and a connection carries one request. It asks for no password, so what is served has no secret, no
// destination, no room and no address in it.
//
// Bounds: 16 connections, the oldest goes for a new one; 8 KiB of header and no body; 5 s for a request, 5 s
// for the answer.
//
// Executor: the one given. Lifetime: shared; its coroutines hold it until stop().
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <prometheus/collectable.h>

#include "base/result.hpp"
#include "net/listen.hpp"
#include "ops/spare_descriptors.hpp"

namespace zks::ops {

// As net::parse_listen(); 9464 without a port.
Result<net::Endpoints> parse_metrics_address(std::string_view text);

// Whether there is a fault that the operator has to look at; none: never.
using Health = std::function<bool()>;
using Collectables = std::vector<std::shared_ptr<prometheus::Collectable>>;

class MetricsServer : public std::enable_shared_from_this<MetricsServer> {
 public:
  static constexpr std::size_t kMaxConnections = 16;
  static constexpr std::uint32_t kMaxHeaderBytes = 8 * 1024;
  static constexpr std::chrono::seconds kTimeLimit{5};

  // Listens when it returns. kIo when the address can't be bound.
  static Result<std::shared_ptr<MetricsServer>> listen(boost::asio::any_io_executor executor,
                                                       const net::Endpoints& addresses,
                                                       Collectables collectables, Health healthy = {});
  MetricsServer(std::vector<boost::asio::ip::tcp::acceptor> acceptors, Collectables collectables,
                Health healthy);

  // The first.
  const boost::asio::ip::tcp::endpoint& address() const { return address_; }
  void start();
  void stop();

 private:
  using Stream = boost::beast::tcp_stream;
  using StreamPtr = std::shared_ptr<Stream>;

  struct Door {
    boost::asio::ip::tcp::acceptor acceptor;
    boost::asio::steady_timer pause;
  };

  static boost::asio::awaitable<void> accept_loop(std::shared_ptr<MetricsServer> self, Door* door);
  static boost::asio::awaitable<void> serve(std::shared_ptr<MetricsServer> self, StreamPtr stream);
  std::string metrics();

  std::list<Door> doors_;
  boost::asio::ip::tcp::endpoint address_;
  SpareDescriptors spare_{2};  // a connection, and a file while it collects
  Collectables collectables_;
  Health healthy_;
  std::list<StreamPtr> connections_;  // the oldest first
  bool stopping_ = false;
};

}  // namespace zks::ops
