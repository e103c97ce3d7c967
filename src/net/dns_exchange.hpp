// SPDX-License-Identifier: MIT
//
// A DNS message asked of servers one after the other, over UDP and, where the answer was cut, TCP: what they
// say comes back as it is, also when that is a failure. Above are dns_lookup.hpp for names and resolver.cpp
// for whole messages. c-ares does not do for it: of a failure it keeps only the kind (no RFC 8914), it takes
// answers above 512 bytes for cut ones, and 1.18 knows no zones.
//
// A socket for each attempt: it has a source port of its own, which an off-path attacker must guess (RFC
// 5452), and hears nobody but the server.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/udp.hpp>

#include "base/bytes.hpp"
#include "base/fd.hpp"
#include "base/result.hpp"
#include "net/task.hpp"

namespace zks::net {

// A TCP or UDP socket (SOCK_STREAM, SOCK_DGRAM) that is not yet bound or connected.
using OpenSocket = std::function<Task<Fd>(int family, int type)>;

struct LookupOptions {
  std::string servers;            // see parse_dns_servers(); empty: those of /etc/resolv.conf
  int attempt_timeout_ms = 2000;  // the first try; each later one waits twice as long
  int attempts = 2;               // to each server
  OpenSocket open;                // of what asks; null: a socket as every program's
};

// "ADDR[:PORT]" or "[ADDR]:PORT", several divided by commas; ADDR may have a zone, as in fe80::1%eth0. kUsage
// for what is none. A zone that does not exist now is number 0: that server can't be reached.
Result<std::vector<boost::asio::ip::udp::endpoint>> parse_dns_servers(std::string_view text);

// The first answer that is more than SERVFAIL, NOTIMP or REFUSED; when every server has been asked once, one
// that is no more than that; under the query's own id. `query` has read as a query. kTimeout: no server said
// anything by `deadline`, or in all attempts. kNetwork: none could be asked. May be cancelled.
boost::asio::awaitable<Result<Bytes>> ask_dns(boost::asio::any_io_executor executor, LookupOptions options,
                                              Bytes query, std::chrono::steady_clock::time_point deadline);

}  // namespace zks::net
