// SPDX-License-Identifier: MIT
//
// Byte views, big-endian integers, QUIC varints (RFC 9000, section 16) and the bounded cursors that every
// codec reads and writes with. A failed read or write leaves the cursor where it was.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zks {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

inline constexpr std::uint64_t kVarintMax = (std::uint64_t{1} << 62) - 1;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class Integer>
void store_be(Integer value, std::uint8_t* to) {
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    to[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof(Integer) - 1 - i)));
  }
}
template <class Integer>
Integer load_be(const std::uint8_t* from) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) value = static_cast<Integer>((value << 8) | from[i]);
  return value;
}

// Size of the varint encoding of `value` in bytes: 1, 2, 4 or 8. `value` is at most kVarintMax.
constexpr std::size_t varint_size(std::uint64_t value) {
  return value < 64 ? 1 : value < 16384 ? 2 : value < (std::uint64_t{1} << 30) ? 4 : 8;
}

// Reads from a view that must outlive it. Every read is checked; std::nullopt means not enough bytes.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  std::size_t remaining() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  ByteView rest() const { return bytes_; }

  std::optional<std::uint8_t> u8();
  std::optional<std::uint16_t> u16();
  std::optional<std::uint64_t> varint();
  std::optional<ByteView> take(std::size_t count);
  // A varint length, at most `limit`, and that many bytes.
  std::optional<ByteView> sized(std::size_t limit);

  template <std::size_t N>
  std::optional<std::array<std::uint8_t, N>> array() {
    auto view = take(N);
    if (!view) return std::nullopt;
    std::array<std::uint8_t, N> out;
    std::memcpy(out.data(), view->data(), N);
    return out;
  }

 private:
  ByteView bytes_;
};

// Writes into a fixed buffer that must outlive it. False means no room; nothing was written then.
class ByteWriter {
 public:
  explicit ByteWriter(MutableBytes buffer) : buffer_(buffer) {}

  std::size_t written() const { return written_; }
  std::size_t room() const { return buffer_.size() - written_; }
  MutableBytes free_space() { return buffer_.subspan(written_); }
  void advance(std::size_t count) { written_ += count; }

  bool u8(std::uint8_t value);
  bool u16(std::uint16_t value);
  bool varint(std::uint64_t value);
  bool bytes(ByteView value);
  bool sized(ByteView value);

 private:
  MutableBytes buffer_;
  std::size_t written_ = 0;
};

// What a peer wrote, fit for a log or a terminal: whatever is not printable ASCII becomes '?'.
std::string printable(std::string_view text);

std::string to_hex(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);

// base64url without padding (RFC 4648, section 5). Decoding is strict: any other character is refused.
std::string to_base64url(ByteView bytes);
std::optional<Bytes> from_base64url(std::string_view text);
// Decodes into `out`, which `text` has to fill exactly: for secrets, of which no copy shall stay on the heap.
bool decode_base64url(std::string_view text, MutableBytes out);

// Lower-case base32 without padding (RFC 4648, section 6). Decoding is strict, trailing bits must be zero.
std::string to_base32(ByteView bytes);
std::optional<Bytes> from_base32(std::string_view text);

// Cryptographically secure random bytes.
void fill_random(MutableBytes out);
template <std::size_t N>
std::array<std::uint8_t, N> random_array() {
  std::array<std::uint8_t, N> out;
  fill_random(out);
  return out;
}

}  // namespace zks
