// SPDX-License-Identifier: MIT
#include "base/bytes.hpp"

#include <sodium.h>

namespace zks {

std::optional<std::uint8_t> ByteReader::u8() {
  if (bytes_.empty()) return std::nullopt;
  const std::uint8_t value = bytes_[0];
  bytes_ = bytes_.subspan(1);
  return value;
}

std::optional<std::uint16_t> ByteReader::u16() {
  if (bytes_.size() < 2) return std::nullopt;
  const auto value = load_be<std::uint16_t>(bytes_.data());
  bytes_ = bytes_.subspan(2);
  return value;
}

// RFC 9000, section 16: the two high bits of the first byte are the log2 of the length.
std::optional<std::uint64_t> ByteReader::varint() {
  if (bytes_.empty()) return std::nullopt;
  const std::size_t size = std::size_t{1} << (bytes_[0] >> 6);
  if (bytes_.size() < size) return std::nullopt;
  std::uint64_t value = bytes_[0] & 0x3f;
  for (std::size_t i = 1; i < size; ++i) value = (value << 8) | bytes_[i];
  bytes_ = bytes_.subspan(size);
  return value;
}

std::optional<ByteView> ByteReader::take(std::size_t count) {
  if (bytes_.size() < count) return std::nullopt;
  const ByteView out = bytes_.first(count);
  bytes_ = bytes_.subspan(count);
  return out;
}

std::optional<ByteView> ByteReader::sized(std::size_t limit) {
  const ByteView before = bytes_;
  const auto size = varint();
  if (!size || *size > limit || *size > bytes_.size()) {
    bytes_ = before;
    return std::nullopt;
  }
  return take(static_cast<std::size_t>(*size));
}

bool ByteWriter::u8(std::uint8_t value) {
  if (room() < 1) return false;
  buffer_[written_++] = value;
  return true;
}

bool ByteWriter::u16(std::uint16_t value) {
  if (room() < 2) return false;
  store_be(value, buffer_.data() + written_);
  written_ += 2;
  return true;
}

bool ByteWriter::varint(std::uint64_t value) {
  const std::size_t size = varint_size(value);
  if (value > kVarintMax || room() < size) return false;
  std::uint8_t* to = buffer_.data() + written_;
  for (std::size_t i = 0; i < size; ++i) to[i] = static_cast<std::uint8_t>(value >> (8 * (size - 1 - i)));
  to[0] |= static_cast<std::uint8_t>((size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3) << 6);
  written_ += size;
  return true;
}

bool ByteWriter::bytes(ByteView value) {
  if (room() < value.size()) return false;
  if (!value.empty()) std::memcpy(buffer_.data() + written_, value.data(), value.size());
  written_ += value.size();
  return true;
}

bool ByteWriter::sized(ByteView value) {
  if (room() < varint_size(value.size()) + value.size()) return false;
  return varint(value.size()) && bytes(value);
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

std::string to_hex(ByteView bytes) {
  std::string out(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), bytes.data(), bytes.size());
  out.pop_back();
  return out;
}

std::optional<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  if (text.empty()) return Bytes{};  // libsodium's output may not be null
  Bytes out(text.size() / 2);
  std::size_t size = 0;
  if (sodium_hex2bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, nullptr) != 0 ||
      size != out.size()) {
    return std::nullopt;
  }
  return out;
}

std::string to_base64url(ByteView bytes) {
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string out(sodium_base64_encoded_len(bytes.size(), kVariant), '\0');
  sodium_bin2base64(out.data(), out.size(), bytes.data(), bytes.size(), kVariant);
  out.pop_back();
  return out;
}

std::optional<Bytes> from_base64url(std::string_view text) {
  Bytes out(text.size() * 3 / 4);
  if (!decode_base64url(text, out)) return std::nullopt;
  return out;
}

bool decode_base64url(std::string_view text, MutableBytes out) {
  // libsodium 1.0.18 takes any byte above 0x7f for '_' where char is signed.
  for (const char c : text) {
    if (static_cast<unsigned char>(c) > 0x7f) return false;
  }
  if (out.empty()) return text.empty();
  std::size_t size = 0;
  const char* end = nullptr;
  const int failed = sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, &end,
                                       sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return failed == 0 && size == out.size() && end == text.data() + text.size();
}

namespace {
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
}

std::string to_base32(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() * 8 + 4) / 5);
  std::uint32_t bits = 0;
  int count = 0;
  for (const std::uint8_t byte : bytes) {
    bits = (bits << 8) | byte;
    for (count += 8; count >= 5; count -= 5) out.push_back(kBase32[(bits >> (count - 5)) & 31]);
  }
  if (count > 0) out.push_back(kBase32[(bits << (5 - count)) & 31]);
  return out;
}

std::optional<Bytes> from_base32(std::string_view text) {
  const std::size_t tail = text.size() % 8;
  if (tail == 1 || tail == 3 || tail == 6) return std::nullopt;  // no whole byte ends there
  Bytes out;
  out.reserve(text.size() * 5 / 8);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char letter : text) {
    const std::size_t value = kBase32.find(letter);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 5) | static_cast<std::uint32_t>(value);
    count += 5;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<std::uint8_t>(bits >> count));
    }
  }
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return out;
}

void fill_random(MutableBytes out) {
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

}  // namespace zks
