// SPDX-License-Identifier: MIT
//
// Sockets of a program on this machine: TCP ones and unix ones alike.
#pragma once

#include <cstring>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <sys/socket.h>

namespace zks::net {

using Socket = boost::asio::generic::stream_protocol::socket;
using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

// Of one that is a TCP socket; 0.0.0.0:0 of another.
inline boost::asio::ip::tcp::endpoint tcp_endpoint(
    const boost::asio::generic::stream_protocol::endpoint& endpoint) {
  boost::asio::ip::tcp::endpoint out;
  const int family = endpoint.protocol().family();
  if ((family != AF_INET && family != AF_INET6) || endpoint.size() > out.capacity()) return out;
  std::memcpy(out.data(), endpoint.data(), endpoint.size());
  out.resize(endpoint.size());
  return out;
}

}  // namespace zks::net
