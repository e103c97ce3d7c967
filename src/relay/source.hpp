// SPDX-License-Identifier: MIT
//
// Source: who a connection counts for where nobody has shown more than an address: an IPv4 address, or an
// IPv6 /64, which is what one customer gets.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string_view>

#include <boost/asio/ip/address.hpp>

namespace zks::relay {

struct Source {
  std::array<std::uint8_t, 16> bytes{};

  explicit Source(const boost::asio::ip::address& address);
  auto operator<=>(const Source&) const = default;

  struct Hash {
    std::size_t operator()(const Source& source) const {
      const auto* first = reinterpret_cast<const char*>(source.bytes.data());
      return std::hash<std::string_view>()({first, source.bytes.size()});
    }
  };
};

}  // namespace zks::relay
