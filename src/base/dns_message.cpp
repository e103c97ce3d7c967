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
constexpr std::uint8_t kCheckingDisabled = 0x10;  // goes back (RFC 4035, section 3.2.2)
constexpr std::uint8_t kRcode = 0x0f;
constexpr std::uint16_t kIxfr = 251;  // has a record in its authority section (RFC 1995, section 3)

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

// The same for the name of a record, which may end in a pointer to where the rest of it is.
std::optional<std::size_t> skip_name(ByteView message, std::size_t at) {
  constexpr std::uint8_t kPointer = 0xc0;
  while (at < message.size()) {
    const std::uint8_t length = message[at];
    if (length == 0) return at + 1;
    if ((length & kPointer) == kPointer)
      return message.size() - at < 2 ? std::nullopt : std::optional(at + 2);
    if (length > kMaxLabel) return std::nullopt;
    at += 1 + std::size_t{length};
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

// name || type (2) || class (2): of OPT, the sender's UDP size || TTL (4): of OPT, more of RCODE (1), version
// (1), DO (1 bit), Z (15) || length (2) || data
constexpr std::uint16_t kOpt = 41;
constexpr std::size_t kRecordFields = 10;
constexpr std::uint8_t kDnssecOk = 0x80;
constexpr std::size_t kBareOpt = 1 + kRecordFields;

// The first OPT of the records from `at` on, from its name to the end of its data; empty without one that is
// whole.
ByteView find_opt(ByteView message, std::size_t at) {
  std::size_t left = std::size_t{count_at(message, 6)} + count_at(message, 8) + count_at(message, 10);
  for (; left > 0; --left) {
    const auto end = skip_name(message, at);
    if (!end || message.size() - *end < kRecordFields) break;
    const std::size_t next = *end + kRecordFields + count_at(message, *end + 8);
    if (next > message.size()) break;
    if (count_at(message, *end) == kOpt && *end == at + 1) return message.subspan(at, next - at);
    at = next;
  }
  return {};
}

// Header and question, and nothing behind them.
Bytes bare(ByteView message, std::size_t end) {
  Bytes out(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(end));
  std::fill(out.begin() + 6, out.begin() + kDnsHeader, std::uint8_t{0});
  return out;
}

Bytes failure(ByteView query, std::size_t end, DnsCode code) {
  Bytes out = bare(query, end);
  out[2] = static_cast<std::uint8_t>(kResponse | (query[2] & (kOpcode | kRecursionDesired)));
  out[3] = static_cast<std::uint8_t>(kRecursionAvailable | (query[3] & kCheckingDisabled) |
                                     static_cast<std::uint8_t>(code));
  return out;
}

}  // namespace

std::optional<DnsQuestion> read_dns_query(ByteView message) {
  auto question = read_question(message);
  if (!question || (message[2] & kResponse) != 0) return std::nullopt;
  const bool has_authority = count_at(message, 8) != 0;
  if (count_at(message, 6) != 0 || (has_authority && question->type != kIxfr)) return std::nullopt;
  const ByteView opt = find_opt(message, question->end);
  if (opt.empty()) return question;
  question->edns = true;
  question->udp_bytes = std::max<std::size_t>(count_at(opt, 3), kDnsPlainUdp);
  question->dnssec_ok = (opt[7] & kDnssecOk) != 0;
  return question;
}

std::optional<Bytes> dns_refusal(ByteView message) {
  if (message.size() < kDnsHeader || (message[2] & kResponse) != 0) return std::nullopt;
  const DnsCode code = (message[2] & kOpcode) == 0 ? DnsCode::kFormErr : DnsCode::kNotImp;
  Bytes out = failure(message, kDnsHeader, code);
  out[4] = out[5] = 0;  // no question
  return out;
}

bool is_dns_answer(ByteView message, const DnsQuestion& question) {
  if (message.size() < kDnsHeader || (message[2] & kResponse) == 0) return false;
  if (count_at(message, 0) != question.id) return false;
  if (count_at(message, 4) == 0) {
    const DnsCode code = dns_code(message);
    return code != DnsCode::kNoError && code != DnsCode::kNxDomain;
  }
  const auto said = read_question(message);
  return said && said->name == question.name && said->type == question.type && said->klass == question.klass;
}

DnsCode dns_code(ByteView message) {
  return static_cast<DnsCode>(message[3] & kRcode);
}

bool is_dns_truncated(ByteView message) {
  return (message[2] & kTruncated) != 0;
}

Bytes dns_failure(ByteView query, const DnsQuestion& question, DnsCode code, DnsReason reason) {
  constexpr std::uint8_t kExtendedError = 15;
  constexpr std::uint16_t kOurUdpSize = 1232;
  Bytes out = failure(query, question.end, code);
  if (!question.edns) return out;
  out[11] = 1;
  const auto number = static_cast<std::uint16_t>(reason);
  const std::uint8_t flags = question.dnssec_ok ? kDnssecOk : 0;
  out.insert(out.end(), {0, 0, kOpt, kOurUdpSize >> 8, kOurUdpSize & 0xff, 0, 0, flags, 0, 0, 6});
  out.insert(out.end(), {0, kExtendedError, 0, 2, static_cast<std::uint8_t>(number >> 8),
                         static_cast<std::uint8_t>(number)});
  return out;
}

std::optional<Bytes> fit_dns_answer(ByteView answer, std::size_t most) {
  if (answer.size() <= most) return Bytes(answer.begin(), answer.end());
  const auto question = read_question(answer);
  if (!question || question->end > most) return std::nullopt;
  Bytes out = bare(answer, question->end);
  out[2] |= kTruncated;
  ByteView opt = find_opt(answer, question->end);
  const bool options_fit = out.size() + opt.size() <= most;
  if (!options_fit) opt = opt.first(kBareOpt);
  if (opt.empty() || out.size() + opt.size() > most) return out;
  out.insert(out.end(), opt.begin(), opt.end());
  if (!options_fit) out[out.size() - 2] = out[out.size() - 1] = 0;
  out[11] = 1;
  return out;
}

}  // namespace zks
