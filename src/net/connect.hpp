// SPDX-License-Identifier: MIT
//
// The first step of a dial: a host name becomes a connection. IPv6 and IPv4 addresses are tried in turn, each
// a little after the one before (race.hpp), and the first that answers wins. reach.hpp goes on from there.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "net/egress.hpp"
#include "net/known_addresses.hpp"
#include "net/race.hpp"
#include "net/task.hpp"

namespace zks::net {

// Where to, and which addresses may stand in for a lookup.
struct Goal {
  // Not an aggregate, for the reason that Egress is none.
  Goal(std::string to, std::uint16_t at, Egress by, std::shared_ptr<KnownAddresses> worked)
      : host(std::move(to)), port(at), egress(std::move(by)), known(std::move(worked)) {}

  std::string host;
  std::uint16_t port;
  Egress egress;
  std::shared_ptr<KnownAddresses> known;  // may be null
  bool twice = false;
  std::string called;  // in front of what is said of a lookup or of time: "the HTTP proxy: "
};

// Called for each address, and with Goal::twice once more when no attempt is through. Null: none is to be
// made.
using MakeAttempt = std::function<std::shared_ptr<Attempt>(asio::ip::tcp::endpoint)>;

// The attempt that won, of those that `make` made of the host's addresses. Those that worked before are tried
// behind what the lookup says, and without it when it fails or takes over a second.
// kUntrusted and kRefused: as the attempt that failed so; kNetwork: the lookup failed, or every address did
// (detail: the first errno); kTimeout: not done at `deadline`.
Task<std::shared_ptr<Attempt>> connect_any(asio::any_io_executor executor, Goal goal, MakeAttempt make,
                                           std::chrono::steady_clock::time_point deadline);

// The same with a TCP connection as all that is wanted.
Task<asio::ip::tcp::socket> connect(asio::any_io_executor executor, std::string host, std::uint16_t port,
                                    Egress egress, std::chrono::steady_clock::time_point deadline);

// One address, by the egress given. Errors as of connect_socket(), about the host `name`.
Task<> connect_by(asio::ip::tcp::socket* socket, asio::ip::tcp::endpoint endpoint, Egress egress,
                  std::string name);

}  // namespace zks::net
