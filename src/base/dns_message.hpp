// SPDX-License-Identifier: MIT
//
// As much of a DNS message (RFC 1035, section 4) as it takes to pass queries on and answers back: the one
// question, how long an answer may be over UDP (RFC 6891), and answers that say that there is none. Records
// are never looked into.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"

namespace zks {

enum class DnsCode : std::uint8_t { kFormErr = 1, kServFail = 2, kNotImp = 4, kRefused = 5 };

inline constexpr std::size_t kDnsHeader = 12;
inline constexpr std::size_t kDnsPlainUdp = 512;  // what an answer may have over UDP without EDNS

struct DnsQuestion {
  std::uint16_t id = 0;
  bool is_query = false;  // opcode QUERY
  std::string name;       // without the final dot; "" is the root; what no host name has becomes '?'
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
  std::size_t end = 0;                   // of the question, from the message's start
  std::size_t udp_bytes = kDnsPlainUdp;  // what EDNS says, at least 512
};

// A query (QR 0) with exactly one question, whose name is spelled out, and no answers; null otherwise.
std::optional<DnsQuestion> read_dns_query(ByteView message);

// The answer to `query`, which has read as `question`: nothing but that code.
Bytes dns_failure(ByteView query, const DnsQuestion& question, DnsCode code);
// The answer for somebody who takes `most` bytes: itself, or the question alone with TC set, so that he asks
// over TCP. Null: too long, and not a message with one question.
std::optional<Bytes> fit_dns_answer(ByteView answer, std::size_t most);

}  // namespace zks
