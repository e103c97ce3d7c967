// SPDX-License-Identifier: MIT
//
// Server: the relay as one object, for zks-tunnel-relay and for the client's demo mode.
#pragma once

#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.hpp"
#include "relay/options.hpp"
#include "relay/status.hpp"

namespace zks::relay {

class Listener;
struct Relay;

class Server {
 public:
  // Listens when it returns. Each of `loops` runs on one thread, or is a strand; connections are spread over
  // them. kUsage: a file is unreadable or wrong; kIo: an address can't be bound.
  static Result<std::unique_ptr<Server>> start(Options options,
                                               const std::vector<boost::asio::any_io_executor>& loops);
  ~Server();

  // Where it listens, with the ports that were picked for port 0.
  std::vector<boost::asio::ip::tcp::endpoint> endpoints() const;

  // How it is doing, from any thread. The sums of counters that go on while they are read.
  Status status() const;

  // Reads certificate, key and allowed rooms again. On an error what is in use stays.
  Result<> reload();

  // The process lacked memory: on each loop the pair that holds most ends, if it holds much. From any thread.
  void relieve_memory();

  // Refuses new work and closes every connection with 1012; after at most 4 s those that are left are cut,
  // and the loops have nothing more to do for this server. From any thread, returns at once.
  void stop();

 private:
  explicit Server(std::shared_ptr<Relay> relay) : relay_(std::move(relay)) {}

  std::shared_ptr<Relay> relay_;
  std::vector<std::shared_ptr<Listener>> listeners_;
};

}  // namespace zks::relay
