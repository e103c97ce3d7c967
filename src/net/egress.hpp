// SPDX-License-Identifier: MIT
//
// How a connection leaves this machine, also where its routes lead elsewhere: with vpn, sockets and lookups
// of anybody but those of the uplink go into the tunnel.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "net/task.hpp"

namespace zks::net {

// The network that a tunnel runs over, for connections to relays (vpn/parent_link.hpp). Executor: the
// dialler's.
class Uplink {
 public:
  virtual ~Uplink() = default;
  // A socket that may leave, not yet bound or connected.
  virtual Task<asio::ip::tcp::socket> open(asio::ip::tcp protocol) = 0;
  // The addresses that connections may now be made to, for a relay or a proxy that this process was started
  // with. kNetwork: there are none. kTimeout: no answer by `deadline`.
  virtual Task<std::vector<asio::ip::tcp::endpoint>> look_up(
      std::string host, std::uint16_t port, std::chrono::steady_clock::time_point deadline) = 0;
};

// How a connection leaves this machine.
struct Egress {
  // Not an aggregate: g++ 12 destroys a temporary one twice where it is an argument of what is awaited.
  Egress() = default;
  Egress(std::string by, std::shared_ptr<Uplink> over) : interface(std::move(by)), uplink(std::move(over)) {}

  std::string interface;           // by this interface (socket_options.hpp); empty: as routed
  int segment = 0;                 // in segments of at most so many bytes; 0: as the kernel has it
  std::shared_ptr<Uplink> uplink;  // null: by sockets and lookups as every program's
};

}  // namespace zks::net
