// SPDX-License-Identifier: MIT
#include "base/ip_address.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace zks {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<std::uint8_t, 12> kNat64{0x00, 0x64, 0xff, 0x9b};

bool starts_with(const IpAddress& address, const std::array<std::uint8_t, 12>& start) {
  return !address.is_ipv4() && std::equal(start.begin(), start.end(), address.bytes.begin());
}

}  // namespace

IpAddress make_ipv4(const std::uint8_t* bytes) {
  IpAddress out;
  std::copy_n(bytes, 4, out.bytes.begin());
  return out;
}

IpAddress make_ipv6(const std::uint8_t* bytes) {
  IpAddress out{.family = IpAddress::Family::kIpv6};
  std::copy_n(bytes, 16, out.bytes.begin());
  return out;
}

std::string IpAddress::text() const {
  char out[INET6_ADDRSTRLEN] = {};
  inet_ntop(is_ipv4() ? AF_INET : AF_INET6, bytes.data(), out, sizeof out);
  return out;
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  // inet_pton reads up to a NUL, and would take what stands before one for the whole.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1) return make_ipv4(bytes.data());
  if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) return make_ipv6(bytes.data());
  return std::nullopt;
}

std::optional<IpAddress> parse_spelled_address(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  text = text.substr(0, text.find('%'));
  if (text.ends_with('.')) text.remove_suffix(1);
  if (const auto whole = parse_ip_address(text)) return whole;
  // inet_aton() stops at white space: nothing else than digits and dots gets to it.
  constexpr std::size_t kLongest = 4 * 12;
  if (text.empty() || text.size() > kLongest) return std::nullopt;
  if (text.find_first_not_of("0123456789abcdefABCDEFxX.") != std::string_view::npos) return std::nullopt;
  in_addr address{};
  if (::inet_aton(std::string(text).c_str(), &address) == 0) return std::nullopt;
  std::array<std::uint8_t, 4> bytes{};
  std::memcpy(bytes.data(), &address, bytes.size());
  return make_ipv4(bytes.data());
}

std::optional<IpAddress> ip_address_of(const sockaddr* address) {
  std::array<std::uint8_t, 16> bytes{};
  if (address != nullptr && address->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    std::memcpy(bytes.data(), &in.sin_addr, sizeof in.sin_addr);
    return make_ipv4(bytes.data());
  }
  if (address != nullptr && address->sa_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, address, sizeof in6);
    std::memcpy(bytes.data(), &in6.sin6_addr, sizeof in6.sin6_addr);
    return make_ipv6(bytes.data());
  }
  return std::nullopt;
}

IpAddress unmapped(const IpAddress& address) {
  return starts_with(address, kMapped) ? make_ipv4(address.bytes.data() + kMapped.size()) : address;
}

std::optional<IpAddress> nat64_target(const IpAddress& address) {
  if (!starts_with(address, kNat64)) return std::nullopt;
  return make_ipv4(address.bytes.data() + kNat64.size());
}

bool Prefix::contains(const IpAddress& candidate) const {
  return candidate.family == address.family && make_prefix(candidate, length).address == address;
}

std::string Prefix::text() const {
  return address.text() + "/" + std::to_string(length);
}

Prefix make_prefix(IpAddress address, std::uint8_t length) {
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    const int kept = std::clamp(static_cast<int>(length) - static_cast<int>(8 * i), 0, 8);
    address.bytes[i] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  return {.address = address, .length = length};
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_ip_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return make_prefix(*address, address->bits());

  const std::string_view digits = text.substr(slash + 1);
  std::uint8_t length = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (ec != std::errc{} || end != digits.data() + digits.size() || length > address->bits()) {
    return std::nullopt;
  }
  const Prefix out = make_prefix(*address, length);
  if (out.address != *address) return std::nullopt;
  return out;
}

}  // namespace zks
