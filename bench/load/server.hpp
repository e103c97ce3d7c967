// SPDX-License-Identifier: MIT
//
// bench_load's far end: a server whose connections do what their first byte asks for.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <string>
#include <thread>

#include "pump.hpp"
#include "socket.hpp"

namespace zks::bench {

enum class Role : char { kSource = 'D', kSink = 'U', kEcho = 'E' };

constexpr std::size_t kEchoMessage = 64;  // bytes

// Its own thread serves an echo; sources and sinks are the pump's.
class Server {
 public:
  // Listens in the network namespace whose file `netns` names, or in this one when that is empty.
  Server(const std::string& address, const std::string& netns);
  ~Server();

  const Endpoint& endpoint() const { return endpoint_; }
  std::atomic<std::uint64_t>& received() { return received_; }

 private:
  struct Connection {
    explicit Connection(Socket s) : socket(std::move(s)) {}
    Socket socket;
    std::atomic<bool> over = false;
    std::thread thread;
  };

  void accept_until_end();
  void serve(Connection& connection);

  Endpoint endpoint_;
  Socket listener_;
  std::atomic<std::uint64_t> received_ = 0;
  Pump pump_;
  std::list<Connection> connections_;  // touched by the acceptor, and after it was joined
  std::thread acceptor_;
};

}  // namespace zks::bench
