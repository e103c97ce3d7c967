// SPDX-License-Identifier: MIT
#include "carrier/connect_answer.hpp"

#include <gtest/gtest.h>

namespace zks::carrier {
namespace {

UpstreamProxy proxy(bool with_password = false) {
  UpstreamProxy out;
  out.host = "proxy.test";
  out.port = 3128;
  if (with_password) {
    EXPECT_TRUE(set_credentials(out, "user:secret"));
  }
  return out;
}

// The refusal's text.
std::string refusal(const std::string& answer, bool with_password = false) {
  ConnectAnswer reader;
  const auto whole = reader.take(answer);
  EXPECT_TRUE(whole && *whole) << answer;
  EXPECT_FALSE(reader.accepted());
  const Error error = reader.refusal(proxy(with_password), "relay.test:8443");
  EXPECT_EQ(error.kind, ErrorKind::kRefused);
  EXPECT_EQ(error.detail, reader.status());
  EXPECT_EQ(error.text.find("secret"), std::string::npos);
  EXPECT_NE(error.text.find("proxy.test:3128"), std::string::npos);
  return error.text;
}

TEST(ConnectRequest, IsTheOneOfTheRfc) {
  EXPECT_EQ(connect_request(proxy(), "relay.test:443"),
            "CONNECT relay.test:443 HTTP/1.1\r\nHost: relay.test:443\r\n\r\n");
  EXPECT_EQ(connect_request(proxy(true), "[::1]:8443"),
            "CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n"
            "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n");
}

TEST(ConnectAnswer, TakesAny2xxWithoutABody) {
  for (const char* answer :
       {"HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 299 \n\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"}) {
    ConnectAnswer reader;
    const auto whole = reader.take(answer);
    ASSERT_TRUE(whole) << answer;
    EXPECT_TRUE(*whole && reader.accepted()) << answer;
  }
}

TEST(ConnectAnswer, EveryCutReadsTheSame) {
  const std::string answer =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nProxy-Agent: a\r\nX: b\r\n\r\n";
  for (std::size_t cut = 0; cut <= answer.size(); ++cut) {
    ConnectAnswer reader;
    const auto first = reader.take(std::string_view(answer).substr(0, cut));
    ASSERT_TRUE(first) << cut;
    EXPECT_EQ(*first, cut == answer.size());
    if (*first) continue;
    const auto second = reader.take(std::string_view(answer).substr(cut));
    ASSERT_TRUE(second && *second) << cut;
    EXPECT_TRUE(reader.accepted());
  }
  ConnectAnswer by_byte;
  for (std::size_t i = 0; i < answer.size(); ++i) {
    const auto whole = by_byte.take(std::string_view(answer).substr(i, 1));
    ASSERT_TRUE(whole);
    EXPECT_EQ(*whole, i + 1 == answer.size());
  }
}

TEST(ConnectAnswer, RefusesBytesThatOnlyTheProxyCanHaveMade) {
  ConnectAnswer reader;
  const auto whole = reader.take("HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03");
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().kind, ErrorKind::kProtocol);
}

TEST(ConnectAnswer, RefusesWhatIsNotHttpAtItsFirstByte) {
  for (const char* answer : {"SSH-2.0-x", "\x15\x03\x01", "HTTP/2", "http/1.1 200 OK\r\n\r\n", "\r\n\r\n"}) {
    ConnectAnswer reader;
    EXPECT_FALSE(reader.take(answer)) << answer;
  }
  for (const char* answer :
       {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1  200\r\n\r\n", "HTTP/1.x 200\r\n\r\n", "HTTP/1.1 200x\r\n\r\n"}) {
    ConnectAnswer reader;
    EXPECT_FALSE(reader.take(answer)) << answer;
  }
}

TEST(ConnectAnswer, IsBounded) {
  const std::string start = "HTTP/1.1 200 OK\r\n";
  const std::string end = "\r\n\r\n";
  const std::size_t filler = ConnectAnswer::kMaxHeaderBytes - start.size() - end.size();
  {
    ConnectAnswer reader;
    EXPECT_TRUE(reader.take(start + std::string(filler, 'a') + end));
  }
  {
    ConnectAnswer reader;
    EXPECT_FALSE(reader.take(start + std::string(filler + 1, 'a') + end));
  }
  // Interim answers count too, so that they can't go on for ever.
  ConnectAnswer reader;
  bool failed = false;
  for (int i = 0; i < 1000 && !failed; ++i) failed = !reader.take("HTTP/1.1 103 Early Hints\r\n\r\n");
  EXPECT_TRUE(failed);
}

TEST(ConnectAnswer, SaysWhatToDo) {
  const std::string basic = "HTTP/1.1 407 x\r\nproxy-authenticate:  basic realm=\"a\"\r\n\r\n";
  EXPECT_NE(refusal(basic).find("--http-proxy-user-file"), std::string::npos);
  EXPECT_NE(refusal(basic, true).find("does not take this user"), std::string::npos);
  EXPECT_NE(refusal("HTTP/1.0 401 Unauthorized\r\n\r\n", true).find("does not take this user"),
            std::string::npos);
  EXPECT_NE(refusal("HTTP/1.1 407 x\r\n\r\n").find("asks for a user"), std::string::npos);
  EXPECT_NE(refusal("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n").find("asks for NTLM"),
            std::string::npos);
  EXPECT_EQ(refusal("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic a\r\n\r\n")
                .find("NTLM"),
            std::string::npos);
  EXPECT_NE(refusal("HTTP/1.1 403 Forbidden\r\n\r\n<html>").find("443"), std::string::npos);
  EXPECT_NE(refusal("HTTP/1.1 503 x\r\n\r\n").find("can't reach relay.test:8443"), std::string::npos);
  EXPECT_NE(refusal("HTTP/1.1 405 x\r\n\r\n").find("not be an HTTP proxy"), std::string::npos);
  EXPECT_NE(refusal("HTTP/1.1 302 x\r\nLocation: http://login\r\n\r\n").find("302"), std::string::npos);
  // What stands in a log is short and of harmless characters.
  const std::string odd =
      refusal("HTTP/1.1 407 x\r\nProxy-Authenticate: " + std::string(500, 'A') + "\r\n\r\n");
  EXPECT_EQ(odd.find(std::string(21, 'A')), std::string::npos);
  EXPECT_EQ(refusal("HTTP/1.1 407 x\r\nProxy-Authenticate: A\x1b[31m\r\n\r\n").find('\x1b'),
            std::string::npos);
}

}  // namespace
}  // namespace zks::carrier
