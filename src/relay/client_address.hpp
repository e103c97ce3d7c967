// SPDX-License-Identifier: MIT
//
// Whose join a request is: the TCP peer, or behind proxies that the operator trusts (--trusted-proxy) the
// last address in X-Forwarded-For that none of those proxies has.
#pragma once

#include <string_view>
#include <vector>

#include <boost/asio/ip/address.hpp>

#include "base/result.hpp"

namespace zks::relay {

// An address block, ADDRESS/LENGTH or a single ADDRESS.
class Network {
 public:
  bool contains(const boost::asio::ip::address& address) const;

  static Result<Network> parse(std::string_view text);

 private:
  boost::asio::ip::address_v6::bytes_type prefix_{};  // IPv4 as v4-mapped
  int length_ = 0;                                    // bits of the IPv6 form
};

// Whether one of `trusted` has this address.
bool is_trusted(const boost::asio::ip::address& address, const std::vector<Network>& trusted);

// `forwarded` are the values of the X-Forwarded-For fields in their order. Entries left of an untrusted or
// unreadable one may be made up by the sender, so they never count.
boost::asio::ip::address client_address(const boost::asio::ip::address& peer,
                                        const std::vector<Network>& trusted,
                                        const std::vector<std::string_view>& forwarded);

}  // namespace zks::relay
