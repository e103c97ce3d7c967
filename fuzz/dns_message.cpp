// SPDX-License-Identifier: MIT
//
// DNS messages: what reads as a query has its question within it, and the answers made of it are messages
// with the same question.
#include "base/dns_message.hpp"

#include <cstdlib>

namespace {

using namespace zks;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView message(data, size);
  for (const std::size_t most : {std::size_t{0}, std::size_t{40}, kDnsPlainUdp}) {
    const auto fits = fit_dns_answer(message, most);
    if (fits) require(fits->size() <= most);
  }
  const auto question = read_dns_query(message);
  if (const auto refusal = dns_refusal(message))
    require(refusal->size() == kDnsHeader && !dns_refusal(*refusal));
  if (!question) return 0;
  require(question->end <= size && question->name.size() < 256 && question->udp_bytes >= kDnsPlainUdp);
  Bytes failure = dns_failure(message, *question, DnsCode::kServFail, DnsReason::kOther);
  require(is_dns_answer(failure, *question) && !read_dns_query(failure));
  require(failure.size() > question->end == question->edns);
  failure[2] &= 0x7f;
  const auto again = read_dns_query(failure);
  require(again && again->name == question->name && again->type == question->type &&
          again->id == question->id);
  return 0;
}
