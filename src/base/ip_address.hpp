// SPDX-License-Identifier: MIT
//
// IP addresses and prefixes: plain bytes, no sockets. The exit's rules, the tables of
// special ranges, the exit's own interfaces and the resolver all speak these; connect.cpp turns them into
// endpoints.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sockaddr;

namespace zks {

struct IpAddress {
  enum class Family : std::uint8_t { kIpv4, kIpv6 };

  Family family = Family::kIpv4;
  std::array<std::uint8_t, 16> bytes{};  // network order; IPv4: the first 4, the rest zero

  bool is_ipv4() const { return family == Family::kIpv4; }
  std::uint8_t bits() const { return is_ipv4() ? 32 : 128; }
  std::string text() const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// Full spellings only (inet_pton): "127.1", "0x7f000001" and scoped addresses are not addresses.
std::optional<IpAddress> parse_ip_address(std::string_view text);
// The address that `text` is to one program or another: also "127.1", "0x7f000001", "2130706433" and octal as
// inet_aton(3) reads them, with a final dot, in brackets, or with a zone, which is dropped. So such a
// spelling is judged as what it may mean, and connected to as what was judged; nobody else gets to read it
// differently.
std::optional<IpAddress> parse_spelled_address(std::string_view text);
// Null for families other than IPv4 and IPv6.
std::optional<IpAddress> ip_address_of(const sockaddr* address);
// From 4 or 16 bytes in network order.
IpAddress make_ipv4(const std::uint8_t* bytes);
IpAddress make_ipv6(const std::uint8_t* bytes);

// What the kernel really connects to: ::ffff:a.b.c.d is a.b.c.d (RFC 4291, section 2.5.5.2).
IpAddress unmapped(const IpAddress& address);
// The IPv4 address behind 64:ff9b::/96, which a NAT64 on the exit's path would connect to (RFC 6052).
std::optional<IpAddress> nat64_target(const IpAddress& address);

struct Prefix {
  IpAddress address;  // bits after `length` are zero
  std::uint8_t length = 0;

  bool contains(const IpAddress& candidate) const;
  std::string text() const;  // "10.0.0.0/8"

  friend bool operator==(const Prefix&, const Prefix&) = default;
};

// Clears the bits of `address` after `length`, which is at most address.bits().
Prefix make_prefix(IpAddress address, std::uint8_t length);
// "10.0.0.0/8", "fd00::/8", or an address, which is a prefix of all its bits. Bits after the length must be
// zero: 10.1.2.3/8 is more likely a mistake than 10.0.0.0/8.
std::optional<Prefix> parse_prefix(std::string_view text);

}  // namespace zks
