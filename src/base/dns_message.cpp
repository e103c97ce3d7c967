// SPDX-License-Identifier: MIT
#include "base/dns_message.hpp"

#include <algorithm>

namespace zks {
namespace {

// id (2) || QR (1 bit), opcode (4), AA, TC, RD || RA, Z (3), RCODE (4) || four counts (2 each)
constexpr std::uint8_t kResponse = 0x80;
constexpr std::uint8_t kOpcode = 0x78;
constexpr std::uint8_t kTruncated = 0x02;
constexpr std::uint8_t kRecursionDesired = 0x01;
constexpr std::uint8_t kRecursionAvailable = 0x80;

constexpr std::size_t kMaxName = 255;  // encoded
constexpr std::uint8_t kMaxLabel = 63;

std::uint16_t count_at(ByteView message, std::size_t at) {
  return load_be<std::uint16_t>(&message[at]);
}

bool is_host_byte(std::uint8_t byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

// The end of the name at `at`, which is added to `text` where there is one. Null for one that is cut short,
// too long or compressed.
std::optional<std::size_t> read_name(ByteView message, std::size_t at, std::string* text) {
  const std::size_t start = at;
  while (at < message.size() && at - start < kMaxName) {
    const std::uint8_t length = message[at++];
    if (length == 0) return at;
    if (length > kMaxLabel || message.size() - at < length) return std::nullopt;
    if (text != nullptr && !text->empty()) *text += '.';
    for (std::size_t i = 0; i < length && text != nullptr; ++i) {
      const std::uint8_t byte = message[at + i];
      const std::uint8_t lower = byte >= 'A' && byte <= 'Z' ? static_cast<std::uint8_t>(byte + 32) : byte;
      *text += is_host_byte(lower) ? static_cast<char>(lower) : '?';
    }
    at += length;
  }
  return std::nullopt;
}

std::optional<DnsQuestion> read_question(ByteView message) {
  if (message.size() < kDnsHeader || count_at(message, 4) != 1) return std::nullopt;
  DnsQuestion out;
  const auto end = read_name(message, kDnsHeader, &out.name);
  if (!end || message.size() - *end < 4) return std::nullopt;
  out.id = count_at(message, 0);
  out.is_query = (message[2] & kOpcode) == 0;
  out.type = count_at(message, *end);
  out.klass = count_at(message, *end + 2);
  out.end = *end + 4;
  return out;
}

// name || type (2) || class (2): of OPT, the sender's UDP size || TTL (4) || length (2) || data
std::size_t edns_size(ByteView message, std::size_t at) {
  constexpr std::uint16_t kOpt = 41;
  constexpr std::size_t kFields = 10;
  for (std::uint16_t left = count_at(message, 10); left > 0; --left) {
    const auto end = read_name(message, at, nullptr);
    if (!end || message.size() - *end < kFields) break;
    if (count_at(message, *end) == kOpt)
      return std::max<std::size_t>(count_at(message, *end + 2), kDnsPlainUdp);
    at = *end + kFields + count_at(message, *end + 8);
    if (at > message.size()) break;
  }
  return kDnsPlainUdp;
}

// Header and question, and nothing behind them.
Bytes bare(ByteView message, std::size_t end) {
  Bytes out(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(end));
  std::fill(out.begin() + 6, out.begin() + kDnsHeader, std::uint8_t{0});
  return out;
}

}  // namespace

std::optional<DnsQuestion> read_dns_query(ByteView message) {
  auto question = read_question(message);
  if (!question || (message[2] & kResponse) != 0) return std::nullopt;
  if (count_at(message, 6) != 0 || count_at(message, 8) != 0) return std::nullopt;
  question->udp_bytes = edns_size(message, question->end);
  return question;
}

Bytes dns_failure(ByteView query, const DnsQuestion& question, DnsCode code) {
  Bytes out = bare(query, question.end);
  out[2] = static_cast<std::uint8_t>(kResponse | (query[2] & (kOpcode | kRecursionDesired)));
  out[3] = static_cast<std::uint8_t>(kRecursionAvailable | static_cast<std::uint8_t>(code));
  return out;
}

std::optional<Bytes> fit_dns_answer(ByteView answer, std::size_t most) {
  if (answer.size() <= most) return Bytes(answer.begin(), answer.end());
  const auto question = read_question(answer);
  if (!question || question->end > most) return std::nullopt;
  Bytes out = bare(answer, question->end);
  out[2] |= kTruncated;
  return out;
}

}  // namespace zks
