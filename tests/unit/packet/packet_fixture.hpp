// SPDX-License-Identifier: MIT
//
// Packets for tests, put together field by field with a checksum of their own, so that what the builders and
// the parser share can't hide a mistake of both.
#pragma once

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "packet/packet.hpp"

namespace zks::packet {

inline IpAddress ip(const char* text) {
  return parse_ip_address(text).value();
}

inline Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline Bytes be16(std::size_t value) {
  return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}
inline Bytes be32(std::size_t value) {
  return be16(value >> 16) + be16(value);
}

// RFC 1071, byte by byte.
inline std::uint16_t plain_sum(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

inline Bytes address_bytes(const IpAddress& address) {
  return {address.bytes.begin(), address.bytes.begin() + (address.is_ipv4() ? 4 : 16)};
}

inline Bytes with_checksum(Bytes bytes, std::size_t at, std::uint16_t before = 0) {
  const std::uint16_t sum = plain_sum(be16(before) + bytes);
  const Bytes field = be16(static_cast<std::uint16_t>(~sum));
  std::copy(field.begin(), field.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  return bytes;
}

inline std::uint16_t pseudo_sum(const IpAddress& source, const IpAddress& target, std::uint8_t protocol,
                                std::size_t length) {
  return plain_sum(address_bytes(source) + address_bytes(target) + be32(length) + Bytes{0, 0, 0, protocol});
}

struct V4 {
  std::uint8_t protocol = kUdp;
  Bytes options{};
  std::size_t flags = 0;  // flags and offset, as they stand there
  std::size_t id = 0x1234;
  std::size_t total = 0;  // 0: what it is
  const char* source = "10.0.0.1";
  const char* target = "192.0.2.9";
};
inline Bytes ipv4(const Bytes& above, const V4& v = {}) {
  const std::size_t header = 20 + v.options.size();
  const std::size_t total = v.total != 0 ? v.total : header + above.size();
  const Bytes head = Bytes{static_cast<std::uint8_t>(0x40 | header / 4), 0} + be16(total) + be16(v.id) +
                     be16(v.flags) + Bytes{57, v.protocol, 0, 0} + address_bytes(ip(v.source)) +
                     address_bytes(ip(v.target)) + v.options;
  return with_checksum(head, 10) + above;
}

inline Bytes ipv6(std::uint8_t next, const Bytes& above, const char* source = "2001:db8::1",
                  const char* target = "2001:db8::9") {
  return Bytes{0x60, 0, 0, 0} + be16(above.size()) + Bytes{next, 61} + address_bytes(ip(source)) +
         address_bytes(ip(target)) + above;
}

inline Bytes udp(const IpAddress& source, const IpAddress& target, const Bytes& data) {
  const Bytes bytes = be16(5353) + be16(53) + be16(8 + data.size()) + be16(0) + data;
  return with_checksum(bytes, 6, pseudo_sum(source, target, kUdp, bytes.size()));
}
inline Bytes udp4(const Bytes& data) {
  return ipv4(udp(ip("10.0.0.1"), ip("192.0.2.9"), data));
}
inline Bytes udp6(const Bytes& data) {
  return ipv6(kUdp, udp(ip("2001:db8::1"), ip("2001:db8::9"), data));
}

inline Bytes tcp(const IpAddress& source, const IpAddress& target, std::uint8_t flags, const Bytes& data,
                 const Bytes& options = {}) {
  const Bytes bytes = be16(40000) + be16(443) + be32(0xfffffff0) + be32(0x01020304) +
                      Bytes{static_cast<std::uint8_t>((20 + options.size()) / 4 << 4), flags} + be16(65535) +
                      be16(0) + be16(0) + options + data;
  return with_checksum(bytes, 16, pseudo_sum(source, target, kTcp, bytes.size()));
}
inline Bytes tcp4(std::uint8_t flags, const Bytes& data = {}) {
  return ipv4(tcp(ip("10.0.0.1"), ip("192.0.2.9"), flags, data), {.protocol = kTcp});
}
inline Bytes tcp6(std::uint8_t flags, const Bytes& data = {}) {
  return ipv6(kTcp, tcp(ip("2001:db8::1"), ip("2001:db8::9"), flags, data, {2, 4, 5, 0xa0}));
}

inline Bytes ping4(const Bytes& data) {
  return ipv4(with_checksum(Bytes{8, 0, 0, 0} + be16(77) + be16(3) + data, 2), {.protocol = kIcmp});
}
inline Bytes ping6(const Bytes& data) {
  const Bytes echo = Bytes{128, 0, 0, 0} + be16(77) + be16(3) + data;
  const std::uint16_t sum = pseudo_sum(ip("2001:db8::1"), ip("2001:db8::9"), kIcmpV6, echo.size());
  return ipv6(kIcmpV6, with_checksum(echo, 2, sum));
}

// next header (1) || length (1) || six bytes
inline Bytes extension(std::uint8_t next, const Bytes& six = {1, 4, 0, 0, 0, 0}) {
  return Bytes{next, 0} + six;
}
inline Bytes fragment_header(std::uint8_t next, std::size_t offset, bool more, std::size_t id) {
  return Bytes{next, 0} + be16(offset | (more ? 1 : 0)) + be32(id);
}

inline Bytes counted(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return out;
}

inline Bytes copy(ByteView view) {
  return {view.begin(), view.end()};
}

}  // namespace zks::packet
