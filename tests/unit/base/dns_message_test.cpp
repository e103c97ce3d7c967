// SPDX-License-Identifier: MIT
#include "base/dns_message.hpp"

#include <gtest/gtest.h>

namespace zks {
namespace {

Bytes hex(std::string_view text) {
  return from_hex(text).value();
}

// id 0x1234, RD; "WWW.example." A IN; OPT with a size of 1232.
const Bytes kQuery =
    hex("123401000001000000000001"
        "03575757076578616d706c6500"
        "00010001"
        "00002904d000000000"
        "0000");
constexpr std::size_t kQuestionEnd = 12 + 13 + 4;

Bytes answer_of(std::size_t size) {
  Bytes out = kQuery;
  out[2] = 0x81;
  out[3] = 0x80;
  out[7] = 1;
  out.resize(size, 'r');
  return out;
}

TEST(DnsMessage, ReadsAQuery) {
  const auto question = read_dns_query(kQuery);
  ASSERT_TRUE(question);
  EXPECT_EQ(question->id, 0x1234);
  EXPECT_TRUE(question->is_query);
  EXPECT_EQ(question->name, "www.example");
  EXPECT_EQ(question->type, 1);
  EXPECT_EQ(question->klass, 1);
  EXPECT_EQ(question->end, kQuestionEnd);
  EXPECT_EQ(question->udp_bytes, 1232U);
}

TEST(DnsMessage, WithoutEdnsAnAnswerHas512Bytes) {
  Bytes plain(kQuery.begin(), kQuery.begin() + kQuestionEnd);
  plain[11] = 0;
  EXPECT_EQ(read_dns_query(plain)->udp_bytes, 512U);
  Bytes small = kQuery;
  small[kQuestionEnd + 3] = 0;  // 208 bytes: read as 512 (RFC 6891, section 6.2.3)
  EXPECT_EQ(read_dns_query(small)->udp_bytes, 512U);
  Bytes promised = kQuery;
  promised.resize(kQuestionEnd + 3);
  EXPECT_EQ(read_dns_query(promised)->udp_bytes, 512U);
}

TEST(DnsMessage, TheRootAndOtherOpcodes) {
  const auto root = read_dns_query(hex("00002000000100000000000000000200ff"));
  ASSERT_TRUE(root);
  EXPECT_EQ(root->name, "");
  EXPECT_FALSE(root->is_query);
  EXPECT_EQ(root->klass, 255);
}

TEST(DnsMessage, WhatNoHostNameHasCannotPassForOne) {
  Bytes odd = kQuery;
  odd[16] = '.';  // overwrites the length of "example": 46, which is more than there is
  EXPECT_FALSE(read_dns_query(odd));
  odd = kQuery;
  odd[14] = '.';
  EXPECT_EQ(read_dns_query(odd)->name, "w?w.example");
}

TEST(DnsMessage, RefusesWhatIsNoQueryWithOneQuestion) {
  const auto changed = [](std::size_t at, std::uint8_t value) {
    Bytes bytes = kQuery;
    bytes[at] = value;
    return bytes;
  };
  EXPECT_FALSE(read_dns_query(changed(2, 0x81)));   // an answer
  EXPECT_FALSE(read_dns_query(changed(5, 0)));      // no question
  EXPECT_FALSE(read_dns_query(changed(5, 2)));      // two
  EXPECT_FALSE(read_dns_query(changed(7, 1)));      // with an answer
  EXPECT_FALSE(read_dns_query(changed(12, 0xc0)));  // compressed
  EXPECT_FALSE(read_dns_query(changed(12, 64)));    // no label
  Bytes longest(12, 0);
  longest[5] = 1;
  for (int i = 0; i < 4; ++i) {
    longest.push_back(63);
    longest.resize(longest.size() + 63, 'a');
  }
  longest.insert(longest.end(), {0, 0, 1, 0, 1});
  EXPECT_FALSE(read_dns_query(longest));  // 257 bytes
}

TEST(DnsMessage, EveryPrefixAndEveryByte) {
  for (std::size_t size = 0; size < kQuery.size(); ++size) {
    const Bytes cut(kQuery.begin(), kQuery.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(read_dns_query(cut).has_value(), size >= kQuestionEnd) << size;
  }
  for (std::size_t at = 0; at < kQuery.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      Bytes changed = kQuery;
      changed[at] = static_cast<std::uint8_t>(value);
      const auto question = read_dns_query(changed);
      if (!question) continue;
      ASSERT_LE(question->end, changed.size());
      const std::size_t opt = question->edns ? 17 : 0;
      EXPECT_EQ(dns_failure(changed, *question, DnsCode::kServFail, DnsReason::kOther).size(),
                question->end + opt);
    }
  }
}

TEST(DnsMessage, AFailureHasTheQuestionAndTheCode) {
  const auto question = read_dns_query(kQuery);
  const std::string said =
      "123481820001000000000001"
      "03575757076578616d706c6500"
      "00010001";
  // OPT of 1232 bytes with INFO-CODE 23 (RFC 8914), as the query has one.
  EXPECT_EQ(dns_failure(kQuery, *question, DnsCode::kServFail, DnsReason::kNetworkError),
            hex(said + "00002904d000000000" + "0006" + "000f00020017"));
  EXPECT_EQ(dns_failure(kQuery, *question, DnsCode::kRefused, DnsReason::kBlocked)[3], 0x85);
  Bytes plain(kQuery.begin(), kQuery.begin() + kQuestionEnd);
  plain[11] = 0;
  const auto old = read_dns_query(plain);
  EXPECT_EQ(dns_failure(plain, *old, DnsCode::kServFail, DnsReason::kOther).size(), kQuestionEnd);
}

TEST(DnsMessage, AFailureHasTheQuerysBitsThatGoBack) {
  Bytes query = kQuery;
  query[3] = 0x10;                 // CD
  query[kQuestionEnd + 7] = 0x80;  // DO
  const auto question = read_dns_query(query);
  ASSERT_TRUE(question && question->dnssec_ok);
  const Bytes failure = dns_failure(query, *question, DnsCode::kServFail, DnsReason::kOther);
  EXPECT_EQ(failure[3], 0x92);
  EXPECT_EQ(failure[kQuestionEnd + 7], 0x80);
}

TEST(DnsMessage, WhatIsNoQueryIsRefusedByItsOpcode) {
  Bytes two = kQuery;
  two[5] = 2;
  EXPECT_EQ(dns_refusal(two), hex("123481810000000000000000")) << "RFC 9619";
  Bytes none = kQuery;
  none[5] = 0;
  EXPECT_EQ(dns_refusal(none), hex("123481810000000000000000"));
  Bytes dso = hex("123430000000000000000000");  // opcode 6, RFC 8490
  EXPECT_EQ(dns_refusal(dso), hex("1234b0840000000000000000"));
  EXPECT_FALSE(dns_refusal(hex("123481000001000000000000"))) << "an answer";
  EXPECT_FALSE(dns_refusal(Bytes(11)));
}

TEST(DnsMessage, AnIncrementalTransferHasAnAuthoritySection) {
  Bytes query = kQuery;
  query[9] = 1;
  EXPECT_FALSE(read_dns_query(query));
  query[kQuestionEnd - 3] = 251;
  EXPECT_TRUE(read_dns_query(query));
}

TEST(DnsMessage, AnAnswerHasTheIdAndTheQuestion) {
  const auto question = read_dns_query(kQuery);
  Bytes answer = answer_of(kQuery.size());
  EXPECT_TRUE(is_dns_answer(answer, *question));
  answer[13] = 'w';
  EXPECT_TRUE(is_dns_answer(answer, *question)) << "case means nothing";
  answer[13] = 'v';
  EXPECT_FALSE(is_dns_answer(answer, *question));
  EXPECT_FALSE(is_dns_answer(kQuery, *question)) << "a query";
  answer = answer_of(kQuery.size());
  answer[0] ^= 1;
  EXPECT_FALSE(is_dns_answer(answer, *question));
  EXPECT_TRUE(is_dns_answer(hex("123481050000000000000000"), *question)) << "REFUSED without its question";
  EXPECT_FALSE(is_dns_answer(hex("123481000000000000000000"), *question));
}

TEST(DnsMessage, ACutAnswerKeepsItsOpt) {
  // One record, whose name is a pointer, and an OPT with extended RCODE 1, DO and a cookie.
  const std::string opt =
      "0000290200"
      "01008000"
      "000c"
      "000a00080102030405060708";
  Bytes answer =
      hex("123481800001000100000001"
          "03575757076578616d706c6500"
          "00010001"
          "c00c001000010000003c0258");
  answer.insert(answer.end(), 600, 't');
  const Bytes tail = hex(opt);
  answer.insert(answer.end(), tail.begin(), tail.end());
  const std::string cut =
      "123483800001000000000001"
      "03575757076578616d706c6500"
      "00010001";
  EXPECT_EQ(fit_dns_answer(answer, 512), hex(cut + opt));
  EXPECT_EQ(fit_dns_answer(answer, kQuestionEnd + 11), hex(cut + "0000290200"
                                                                 "01008000"
                                                                 "0000"))
      << "no options";
  EXPECT_EQ(fit_dns_answer(answer, kQuestionEnd + 10)->size(), kQuestionEnd);
}

TEST(DnsMessage, AnAnswerThatIsTooLongIsCutToItsQuestion) {
  const Bytes answer = answer_of(700);
  EXPECT_EQ(fit_dns_answer(answer, 700), answer);
  const auto cut = fit_dns_answer(answer, 512);
  ASSERT_TRUE(cut);
  EXPECT_EQ(*cut, hex("123483800001000000000001"
                      "03575757076578616d706c6500"
                      "00010001"
                      "00002904d000000000"
                      "0000"));
  EXPECT_FALSE(fit_dns_answer(answer, kQuestionEnd - 1));
  EXPECT_FALSE(fit_dns_answer(Bytes(600, 0), 512));
}

}  // namespace
}  // namespace zks
