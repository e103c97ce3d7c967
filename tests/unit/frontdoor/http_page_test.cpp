// SPDX-License-Identifier: MIT
//
// The proxy's own words: statuses, pages and the PAC file.
#include "frontdoor/http_page.hpp"

#include <gmock/gmock.h>

namespace zks::frontdoor {
namespace {

using session::ResetCode;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string text(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

TEST(HttpPageTest, ErrorPage) {
  const std::string page = text(error_page(502, "a <b> & \"c\"", {}));
  EXPECT_THAT(page, StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
  EXPECT_THAT(page, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(page, HasSubstr("a &lt;b&gt; &amp; &quot;c&quot;"));
  const std::size_t body = page.find("\r\n\r\n") + 4;
  EXPECT_THAT(page, HasSubstr("\r\nContent-Length: " + std::to_string(page.size() - body) + "\r\n"));
  EXPECT_EQ(text(error_page(502, "a <b> & \"c\"", {.is_head = true, .keep_alive = false})),
            page.substr(0, body));
  EXPECT_THAT(text(error_page(502, "", {.is_head = false, .keep_alive = true})),
              Not(HasSubstr("Connection:")));
}

TEST(HttpPageTest, FieldsOfAStatus) {
  EXPECT_THAT(text(error_page(407, "", {})),
              HasSubstr("\r\nProxy-Authenticate: Basic realm=\"ZKS-VPN proxy\", charset=\"UTF-8\"\r\n"));
  EXPECT_THAT(text(error_page(503, "", {})), HasSubstr("\r\nRetry-After: 10\r\n"));
  EXPECT_THAT(text(error_page(405, "", {})), HasSubstr("\r\nAllow: GET, HEAD\r\n"));
}

TEST(HttpPageTest, StatusOfEachFailure) {
  const std::pair<ResetCode, unsigned> statuses[] = {{ResetCode::kCancelled, 502},
                                                     {ResetCode::kGeneralFailure, 502},
                                                     {ResetCode::kNotAllowed, 403},
                                                     {ResetCode::kNetworkUnreachable, 502},
                                                     {ResetCode::kHostUnreachable, 502},
                                                     {ResetCode::kConnectionRefused, 502},
                                                     {ResetCode::kTimedOut, 504},
                                                     {ResetCode::kCommandNotSupported, 502},
                                                     {ResetCode::kAddressNotSupported, 502},
                                                     {ResetCode::kNameNotFound, 502},
                                                     {ResetCode::kConnectionReset, 502},
                                                     {ResetCode::kLimit, 503},
                                                     {ResetCode::kSessionLost, 503},
                                                     {static_cast<ResetCode>(99), 502}};
  for (const auto& [code, status] : statuses) {
    EXPECT_EQ(describe_failure(code).status, status) << session::describe(code);
    EXPECT_FALSE(describe_failure(code).text.empty());
  }
}

HttpRequest own(std::string method, std::string path, std::string host = "") {
  HttpRequest request;
  request.is_head = method == "HEAD";
  request.method = std::move(method);
  request.path = std::move(path);
  request.host = std::move(host);
  request.keep_alive = true;
  return request;
}

TEST(HttpPageTest, OwnPages) {
  EXPECT_THAT(text(own_page(own("GET", "/"), "127.0.0.1:1080", false)),
              HasSubstr("http://127.0.0.1:1080/proxy.pac"));
  EXPECT_THAT(text(own_page(own("OPTIONS", "*"), "127.0.0.1:1080", false)), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(text(own_page(own("GET", "/other"), "127.0.0.1:1080", false)), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(text(own_page(own("GET", "/proxy.pac?x"), "127.0.0.1:1080", false)),
              StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(text(own_page(own("POST", "/"), "127.0.0.1:1080", false)), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(text(own_page(own("HEAD", "/"), "127.0.0.1:1080", false)), EndsWith("\r\n\r\n"));
}

TEST(HttpPageTest, PacFile) {
  const std::string pac = text(own_page(own("GET", "/proxy.pac", "192.0.2.1:3128"), "127.0.0.1:1080", false));
  EXPECT_THAT(pac, HasSubstr("\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n"));
  EXPECT_THAT(pac, HasSubstr("/^127\\.\\d+\\.\\d+\\.\\d+$/.test(host)"));
  EXPECT_THAT(pac, HasSubstr("return \"SOCKS5 192.0.2.1:3128; PROXY 192.0.2.1:3128\";"));
  const std::string with_password = text(own_page(own("GET", "/proxy.pac"), "127.0.0.1:1080", true));
  EXPECT_THAT(with_password, HasSubstr("return \"PROXY 127.0.0.1:1080\";"));
  EXPECT_THAT(with_password, Not(HasSubstr("SOCKS")));
}

TEST(HttpPageTest, PacNamesOnlyAddressesThatNobodyCanRebind) {
  EXPECT_EQ(pac_address("127.0.0.1:1080", "x"), "127.0.0.1:1080");
  EXPECT_EQ(pac_address("[::1]:1080", "x"), "[::1]:1080");
  EXPECT_EQ(pac_address("LOCALHOST:1080", "x"), "localhost:1080");
  EXPECT_EQ(pac_address("10.0.0.1", "x"), "10.0.0.1:80");
  for (const char* host :
       {"", "evil.test:1080", "127.0.0.1.evil.test", "127.0.0.1:0", "1\";alert(1);\"", "localhost.", "127.1"})
    EXPECT_EQ(pac_address(host, "x"), "x") << host;
}

}  // namespace
}  // namespace zks::frontdoor
