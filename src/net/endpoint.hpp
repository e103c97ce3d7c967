// SPDX-License-Identifier: MIT
//
// Between addresses and Asio's endpoints.
#pragma once

#include <algorithm>

#include <boost/asio/ip/address.hpp>

#include "base/ip_address.hpp"

namespace zks::net {

template <class Protocol>
typename Protocol::endpoint make_endpoint(const IpAddress& address, std::uint16_t port) {
  if (address.is_ipv4()) {
    boost::asio::ip::address_v4::bytes_type bytes;
    std::copy_n(address.bytes.begin(), bytes.size(), bytes.begin());
    return {boost::asio::ip::address_v4(bytes), port};
  }
  return {boost::asio::ip::address_v6(address.bytes), port};
}

}  // namespace zks::net
