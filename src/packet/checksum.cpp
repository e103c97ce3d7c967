// SPDX-License-Identifier: MIT
#include "packet/checksum.hpp"

namespace zks::packet {

// 32 bits at a time: 2^16 is 1 modulo 2^16 - 1, so wider words fold to the same sum. 64 KiB of them stay far
// below 2^64.
std::uint64_t add_bytes(std::uint64_t sum, ByteView bytes) {
  while (bytes.size() >= 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    sum += word;
    bytes = bytes.subspan(sizeof word);
  }
  std::uint32_t last = 0;
  if (!bytes.empty()) std::memcpy(&last, bytes.data(), bytes.size());
  return sum + last;
}

std::uint64_t pseudo_header(const IpAddress& source, const IpAddress& target, std::uint8_t protocol,
                            std::size_t length) {
  const std::size_t size = source.is_ipv4() ? 4 : 16;
  std::array<std::uint8_t, 8> rest{};
  store_be(static_cast<std::uint32_t>(length), rest.data());
  rest[7] = protocol;
  const std::uint64_t sum = add_bytes(0, ByteView(source.bytes).first(size));
  return add_bytes(add_bytes(sum, ByteView(target.bytes).first(size)), rest);
}

std::uint16_t fold(std::uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

void store_checksum(std::uint64_t sum, std::uint8_t* to) {
  const auto value = static_cast<std::uint16_t>(~fold(sum));
  std::memcpy(to, &value, sizeof value);
}

}  // namespace zks::packet
