// SPDX-License-Identifier: MIT
//
// Listening on TCP, of everything that does: relay, proxy, forwards, metrics. What an option names, and which
// of the two address families a socket takes. net/accept_loop.hpp and relay/listener.hpp accept.
//
// A socket on [::] takes IPv4 as well, unless the same program is also asked to listen on an IPv4 address of
// the same port: then each has its family to itself, in whatever order they are given. Every IPv6 socket is
// told which (IPV6_V6ONLY), so that net.ipv6.bindv6only makes no difference.
#pragma once

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.hpp"

namespace zks::net {

namespace asio = boost::asio;

template <class Endpoint>
bool is_ipv6_only(const Endpoint& address, const std::vector<Endpoint>& all) {
  return address.address().is_v6() && address.port() != 0 &&
         std::any_of(all.begin(), all.end(), [&](const Endpoint& other) {
           return other.address().is_v4() && other.port() == address.port();
         });
}

using Endpoints = std::vector<asio::ip::tcp::endpoint>;  // never empty where one is asked for

// HOST[:PORT] of an option. HOST is an IP address, IPv6 in brackets; or "localhost", which is both loopback
// addresses (RFC 6761, section 6.3), or "*", which is all addresses of both families. kUsage otherwise.
Result<Endpoints> parse_listen(std::string_view text, std::uint16_t default_port);

// kIo with errno as `detail`.
Result<asio::ip::tcp::acceptor> listen_on(const asio::any_io_executor& executor,
                                          const asio::ip::tcp::endpoint& address, bool ipv6_only);

// One socket for each address, all or none. Those with port 0 get the same free port. `beside`: what else the
// program listens on. [::] and [::1] are left out beside IPv4 where this machine has no IPv6.
Result<std::vector<asio::ip::tcp::acceptor>> listen_on_all(const asio::any_io_executor& executor,
                                                           const Endpoints& addresses,
                                                           const Endpoints& beside);

// Whether listening failed because this machine has no IPv6: [::] or [::1] is missing, beside an IPv4
// address.
template <class Endpoint>
bool may_be_left_out(const Endpoint& address, bool beside_ipv4, const Error& error) {
  const bool common = address.address().is_unspecified() || address.address().is_loopback();
  return beside_ipv4 && common && (error.detail == EADDRNOTAVAIL || error.detail == EAFNOSUPPORT);
}

// "127.0.0.1:1080, [::1]:1080"
std::string listen_text(const Endpoints& addresses);

}  // namespace zks::net
