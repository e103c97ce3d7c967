// SPDX-License-Identifier: MIT
//
// Between sockets and the session: addresses as frames carry them, and errors as RESET tells them. What the
// exit connects and listens with, and the client for reverse forwards.
#pragma once

#include <algorithm>

#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include "session/destination.hpp"

namespace zks::tunnel {

template <class Endpoint>
session::Destination make_destination(const Endpoint& endpoint) {
  session::Destination out;
  out.port = endpoint.port();
  if (endpoint.address().is_v4()) {
    out.kind = session::Destination::Kind::kIpv4;
    const auto bytes = endpoint.address().to_v4().to_bytes();
    std::copy(bytes.begin(), bytes.end(), out.address.begin());
  } else {
    out.kind = session::Destination::Kind::kIpv6;
    out.address = endpoint.address().to_v6().to_bytes();
  }
  return out;
}

// The other way, for an address that is not a name.
template <class Protocol>
typename Protocol::endpoint make_endpoint(const session::Destination& address) {
  if (address.kind == session::Destination::Kind::kIpv6) {
    return {boost::asio::ip::address_v6(address.address), address.port};
  }
  boost::asio::ip::address_v4::bytes_type bytes;
  std::copy_n(address.address.begin(), bytes.size(), bytes.begin());
  return {boost::asio::ip::address_v4(bytes), address.port};
}

// An IPv4 address in IPv6 spelling is that IPv4 address.
inline boost::asio::ip::address unmapped(const boost::asio::ip::address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
}

// The code for a connect(), bind() or listen() that failed with this errno.
session::ResetCode reset_code_of(const boost::system::error_code& failure);

}  // namespace zks::tunnel
