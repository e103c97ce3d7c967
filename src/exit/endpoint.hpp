// SPDX-License-Identifier: MIT
//
// Between the policy's addresses and Asio's endpoints.
#pragma once

#include <algorithm>

#include <boost/asio/ip/address.hpp>

#include "exit/ip_address.hpp"
#include "session/destination.hpp"

namespace zks::exit {

template <class Protocol>
typename Protocol::endpoint make_endpoint(const IpAddress& address, std::uint16_t port) {
  if (address.is_ipv4()) {
    boost::asio::ip::address_v4::bytes_type bytes;
    std::copy_n(address.bytes.begin(), bytes.size(), bytes.begin());
    return {boost::asio::ip::address_v4(bytes), port};
  }
  return {boost::asio::ip::address_v6(address.bytes), port};
}

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

}  // namespace zks::exit
