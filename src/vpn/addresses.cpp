// SPDX-License-Identifier: MIT
#include "vpn/addresses.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

#include "tunnel/endpoints.hpp"

namespace zks::vpn {

using session::Destination;
using session::ResetCode;

Destination to_destination(const packet::Endpoint& endpoint) {
  Destination out;
  out.kind = endpoint.address.is_ipv4() ? Destination::Kind::kIpv4 : Destination::Kind::kIpv6;
  out.address = endpoint.address.bytes;
  out.port = endpoint.port;
  return out;
}

std::optional<packet::Endpoint> to_endpoint(const Destination& destination) {
  if (destination.kind == Destination::Kind::kName) return std::nullopt;
  const std::uint8_t* bytes = destination.address.data();
  const bool ipv4 = destination.kind == Destination::Kind::kIpv4;
  return packet::Endpoint{ipv4 ? make_ipv4(bytes) : make_ipv6(bytes), destination.port};
}

packet::Endpoint to_endpoint(const boost::asio::ip::tcp::endpoint& endpoint) {
  return *to_endpoint(tunnel::make_destination(endpoint));
}

std::size_t HashEndpoint::operator()(const packet::Endpoint& endpoint) const {
  std::array<char, 16 + 2> bytes;
  auto out = std::copy(endpoint.address.bytes.begin(), endpoint.address.bytes.end(), bytes.begin());
  *out++ = static_cast<char>(endpoint.port >> 8);
  *out++ = static_cast<char>(endpoint.port);
  return std::hash<std::string_view>{}(std::string_view(bytes.data(), bytes.size()));
}

std::optional<packet::Unreachable> unreachable_for(ResetCode code) {
  switch (code) {
    case ResetCode::kNotAllowed:
    case ResetCode::kQuotaUsedUp:
      return packet::Unreachable::kProhibited;
    case ResetCode::kNetworkUnreachable:
    case ResetCode::kAddressNotSupported:
      return packet::Unreachable::kNetwork;
    case ResetCode::kConnectionRefused:
    case ResetCode::kConnectionReset:
      return std::nullopt;
    default:
      return packet::Unreachable::kHost;
  }
}

bool is_too_big(const IpAddress& from, session::IcmpError error) {
  return from.is_ipv4() ? error.type == 3 && error.code == 4 : error.type == 2;
}

bool is_of_a_host(const IpAddress& about, session::IcmpError error) {
  if (about.is_ipv4()) return error.type == 3 && (error.code == 2 || error.code == 3);
  return (error.type == 1 && error.code == 4) || (error.type == 4 && error.code == 1);
}

bool is_of_a_router(const IpAddress& about, session::IcmpError error) {
  if (error == session::IcmpError{about.is_ipv4() ? std::uint8_t{11} : std::uint8_t{3}, 0}) return true;
  if (about.is_ipv4()) return error.type == 3 && (error.code == 0 || error.code == 1 || error.code == 13);
  return error.type == 1 && (error.code == 0 || error.code == 1 || error.code == 3);
}

bool is_multicast(const IpAddress& address) {
  if (!address.is_ipv4()) return address.bytes[0] == 0xff;
  const auto all = [](std::uint8_t byte) { return byte == 0xff; };
  return (address.bytes[0] & 0xf0) == 0xe0 ||
         std::all_of(address.bytes.begin(), address.bytes.begin() + 4, all);
}

}  // namespace zks::vpn
