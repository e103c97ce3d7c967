// SPDX-License-Identifier: MIT
//
// How a relay is reached where the machine's own way leads elsewhere: with vpn, sockets and lookups of
// anybody but those made here go into the tunnel (vpn/supervisor.hpp implements it).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "net/task.hpp"

namespace zks::net {

// Executor: the dialler's.
class Outside {
 public:
  virtual ~Outside() = default;
  // A socket that may leave, not yet bound or connected.
  virtual Task<asio::ip::tcp::socket> open(asio::ip::tcp protocol) = 0;
  // The addresses that connections may now be made to, for a relay or a proxy that this process was started
  // with. kNetwork: there are none. kTimeout: no answer by `deadline`.
  virtual Task<std::vector<asio::ip::tcp::endpoint>> look_up(
      std::string host, std::uint16_t port, std::chrono::steady_clock::time_point deadline) = 0;
};

// How a connection leaves this machine.
struct Way {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it is an argument of what is awaited.
  Way() = default;
  Way(std::string by, std::shared_ptr<Outside> from) : interface(std::move(by)), outside(std::move(from)) {}

  std::string interface;             // by this interface (socket_options.hpp); empty: as routed
  int segment = 0;                   // in segments of at most so many bytes; 0: as the kernel has it
  std::shared_ptr<Outside> outside;  // null: by sockets and lookups as every program's
};

}  // namespace zks::net
