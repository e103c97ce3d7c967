// SPDX-License-Identifier: MIT
//
// As much of a DNS message (RFC 1035, section 4) as it takes to pass queries on and answers back: the one
// question, EDNS (RFC 6891), and answers that say that there is none, and why (RFC 8914). Records are never
// looked into, but for OPT.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"

namespace zks {

enum class DnsCode : std::uint8_t { kNoError, kFormErr, kServFail, kNxDomain, kNotImp, kRefused };

// INFO-CODE of an extended DNS error (RFC 8914, section 4).
enum class DnsReason : std::uint16_t {
  kOther = 0,
  kBlocked = 15,
  kProhibited = 18,
  kNotSupported = 21,
  kNoReachableAuthority = 22,
  kNetworkError = 23,
};

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
  bool edns = false;                     // there is an OPT record, so the answer has one, too
  bool dnssec_ok = false;                // its DO bit, which goes back (RFC 3225, section 3)
};

// A query (QR 0) with exactly one question (RFC 9619), whose name is spelled out, and no answers; null
// otherwise.
std::optional<DnsQuestion> read_dns_query(ByteView message);
// What to say to a message that does not read as a query: FORMERR, or NOTIMP for an opcode other than QUERY.
// Null for what is to be dropped: less than a header, and an answer, since two servers could go on for ever.
std::optional<Bytes> dns_refusal(ByteView message);

// True for an answer (QR 1) to `query`, which has read as `question`: the same id and question, or an error
// that repeats no question.
bool is_dns_answer(ByteView message, const DnsQuestion& question);
// Of a message of at least kDnsHeader bytes. The low four bits, without what EDNS adds.
DnsCode dns_code(ByteView message);
bool is_dns_truncated(ByteView message);

// The answer to `query`, which has read as `question`: nothing but that code and, for who speaks EDNS, the
// reason.
Bytes dns_failure(ByteView query, const DnsQuestion& question, DnsCode code, DnsReason reason);
// The answer for somebody who takes `most` bytes: itself, or the question alone with TC set, so that he asks
// over TCP; with the answer's OPT, without options where they have no room. Null: too long, and not a message
// with one question.
std::optional<Bytes> fit_dns_answer(ByteView answer, std::size_t most);

}  // namespace zks
