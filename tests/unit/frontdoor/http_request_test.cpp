// SPDX-License-Identifier: MIT
//
// Requests from their headers: what is forwarded and in which form, what is refused and how, and that nothing
// can be read in two ways.
#include "frontdoor/http_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "frontdoor/http_fields.hpp"

namespace zks::frontdoor {
namespace {

using RequestKind = HttpRequest::Kind;
using Framing = BodyFraming::Kind;

const Credentials& credentials() {
  static const Credentials known(as_bytes("alice"), as_bytes("open sesame"));
  return known;
}
const std::string kAlice = "Proxy-Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU=\r\n";

// Lines without their ends.
std::string head(std::initializer_list<std::string_view> lines) {
  std::string out;
  for (const std::string_view line : lines) out.append(line).append("\r\n");
  return out + "\r\n";
}

HttpRequest accepted(std::string_view header, const Credentials* wanted = nullptr) {
  const auto out = read_http_request(header, wanted);
  const auto* refusal = std::get_if<HttpRefusal>(&out);
  EXPECT_EQ(refusal, nullptr) << header << (refusal ? refusal->reason : "");
  return refusal ? HttpRequest{} : std::get<HttpRequest>(out);
}

unsigned refused(std::string_view header, const Credentials* wanted = nullptr) {
  const auto out = read_http_request(header, wanted);
  const auto* refusal = std::get_if<HttpRefusal>(&out);
  return refusal ? refusal->status : 0;
}

TEST(HttpRequestTest, Get) {
  const HttpRequest request = accepted(
      head({"GET http://Example.org/a?b HTTP/1.1", "Host: Example.org", "Accept: */*", "Cookie: a=b"}));
  EXPECT_EQ(request.kind, RequestKind::kForward);
  EXPECT_EQ(session::to_text(request.destination), "example.org:80");
  EXPECT_EQ(request.header, head({"GET /a?b HTTP/1.1", "Host: Example.org", "Accept: */*", "Cookie: a=b"}));
  EXPECT_EQ(request.body, BodyFraming{});
  EXPECT_TRUE(request.keep_alive && request.repeatable && request.is_http11);
  EXPECT_FALSE(request.is_head || request.upgrade);
}

TEST(HttpRequestTest, HostIsTheTargets) {
  EXPECT_EQ(accepted(head({"GET http://[::1]:8080/ HTTP/1.1", "Host: elsewhere"})).header,
            head({"GET / HTTP/1.1", "Host: [::1]:8080"}));
  EXPECT_EQ(accepted(head({"GET http://host/ HTTP/1.1"})).header, head({"GET / HTTP/1.1", "Host: host"}));
  EXPECT_EQ(refused(head({"GET http://host/ HTTP/1.1", "Host: host", "Host: host"})), 400u);
}

TEST(HttpRequestTest, FieldsOfTheConnectionEndHere) {
  const HttpRequest request =
      accepted(head({"GET http://host/ HTTP/1.1", "Host: host", "Connection: X-One, keep-alive",
                     "connection: x-TWO", "X-One: 1", "X-Two: 2", "X-Three: 3", "Keep-Alive: timeout=5",
                     "Proxy-Connection: keep-alive", "TE: trailers, deflate", "Trailer: X", "Upgrade: h2c",
                     "Proxy-Authorization: Basic YTpi", "HTTP2-Settings: AAAA", "Via: 1.0 fred"}));
  EXPECT_EQ(request.header, head({"GET / HTTP/1.1", "Host: host", "X-Three: 3", "Via: 1.0 fred"}));
  EXPECT_FALSE(request.upgrade) << "Connection does not name it";
}

TEST(HttpRequestTest, NoFieldCanBeTakenAwayThatIsNeeded) {
  const HttpRequest request = accepted(head(
      {"POST http://host/ HTTP/1.1", "Host: host", "Connection: Host, Content-Length", "Content-Length: 5"}));
  EXPECT_EQ(request.header, head({"POST / HTTP/1.1", "Host: host", "Content-Length: 5"}));
  EXPECT_EQ(request.body, (BodyFraming{Framing::kLength, 5}));
}

TEST(HttpRequestTest, Bodies) {
  const HttpRequest length =
      accepted(head({"PUT http://host/ HTTP/1.1", "Content-Length: 18446744073709551615"}));
  EXPECT_EQ(length.body, (BodyFraming{Framing::kLength, ~0ULL}));
  EXPECT_FALSE(length.repeatable);
  const HttpRequest chunked = accepted(head({"PUT http://host/ HTTP/1.1", "Transfer-Encoding: Chunked"}));
  EXPECT_EQ(chunked.body.kind, Framing::kChunked);
  EXPECT_EQ(chunked.header, head({"PUT / HTTP/1.1", "Host: host", "Transfer-Encoding: chunked"}));
  EXPECT_FALSE(accepted(head({"GET http://host/ HTTP/1.1", "Content-Length: 1"})).repeatable);
  EXPECT_TRUE(accepted(head({"GET http://host/ HTTP/1.1", "Content-Length: 0"})).repeatable);
  EXPECT_FALSE(accepted(head({"DELETE http://host/ HTTP/1.1"})).repeatable);
  EXPECT_EQ(accepted(head({"PROPFIND http://host/ HTTP/1.1"})).header,
            head({"PROPFIND / HTTP/1.1", "Host: host"}));
}

TEST(HttpRequestTest, ExpectGoesOn) {
  EXPECT_EQ(accepted(head({"PUT http://host/ HTTP/1.1", "Expect: 100-continue", "Content-Length: 1"})).header,
            head({"PUT / HTTP/1.1", "Host: host", "Expect: 100-continue", "Content-Length: 1"}));
}

TEST(HttpRequestTest, WhereABodyEndsIsNeverUnclear) {
  const std::vector<std::vector<std::string_view>> unclear = {
      {"Content-Length: 5", "Transfer-Encoding: chunked"},
      {"Transfer-Encoding: chunked", "Content-Length: 5"},
      {"Content-Length: 5", "Content-Length: 6"},
      {"Content-Length: 5", "Content-Length: 5"},
      {"Content-Length: 5, 5"},
      {"Content-Length: +5"},
      {"Content-Length: -1"},
      {"Content-Length: 0x5"},
      {"Content-Length: 5 5"},
      {"Content-Length:"},
      {"Content-Length: 18446744073709551616"},
      {"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"},
      {"Transfer-Encoding: chunked", "Transfer-Encoding: identity"},
      {"X: a", " b"},
      {"X: a", "\tb"},
      {"Content-Length : 5"},
      {" X: a"},
      {"X: a\rContent-Length: 5"},
      {std::string_view("X: a\0b", 6)},
      {"no colon"},
      {": empty"},
      {"X(: a"},
  };
  for (const auto& lines : unclear) {
    std::string header = "POST http://host/ HTTP/1.1\r\nHost: host\r\n";
    for (const std::string_view line : lines) header.append(line).append("\r\n");
    EXPECT_EQ(refused(header + "\r\n"), 400u) << header;
  }
  for (const char* coding :
       {"gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "xchunked", "\"chunked\""})
    EXPECT_EQ(refused(head({"POST http://host/ HTTP/1.1", std::string("Transfer-Encoding: ") + coding})),
              501u)
        << coding;
  EXPECT_EQ(refused(head({"POST http://host/ HTTP/1.0", "Transfer-Encoding: chunked"})), 400u);
}

TEST(HttpRequestTest, ConnectionPersists) {
  EXPECT_FALSE(accepted(head({"GET http://host/ HTTP/1.1", "Connection: x, Close"})).keep_alive);
  EXPECT_FALSE(accepted(head({"GET http://host/ HTTP/1.1", "Proxy-Connection: close"})).keep_alive);
  const HttpRequest old = accepted(head({"GET http://host/ HTTP/1.0", "Connection: keep-alive"}));
  EXPECT_FALSE(old.keep_alive || old.is_http11);
  EXPECT_EQ(old.header, head({"GET / HTTP/1.1", "Host: host", "Connection: close"}));
}

TEST(HttpRequestTest, Upgrade) {
  const HttpRequest request =
      accepted(head({"GET http://host/chat HTTP/1.1", "Connection: keep-alive, Upgrade", "Upgrade: websocket",
                     "Sec-WebSocket-Key: x"}));
  EXPECT_TRUE(request.upgrade);
  EXPECT_FALSE(request.repeatable);
  EXPECT_EQ(request.header, head({"GET /chat HTTP/1.1", "Host: host", "Sec-WebSocket-Key: x",
                                  "Connection: upgrade", "Upgrade: websocket"}));
  EXPECT_FALSE(
      accepted(head({"GET http://host/ HTTP/1.0", "Connection: upgrade", "Upgrade: websocket"})).upgrade);
  EXPECT_FALSE(accepted(head({"POST http://host/ HTTP/1.1", "Connection: upgrade", "Upgrade: websocket",
                              "Content-Length: 1"}))
                   .upgrade);
}

TEST(HttpRequestTest, Connect) {
  const HttpRequest request = accepted(head({"CONNECT [2001:db8::1]:443 HTTP/1.1", "Host: x"}));
  EXPECT_EQ(request.kind, RequestKind::kConnect);
  EXPECT_EQ(session::to_text(request.destination), "[2001:db8::1]:443");
  EXPECT_EQ(accepted(head({"CONNECT host:22 HTTP/1.0"})).kind, RequestKind::kConnect);
  EXPECT_EQ(accepted(head({"CONNECT host:22 HTTP/1.1", "Content-Length: 0"})).kind, RequestKind::kConnect);
  for (const char* target : {"host", "host:", "http://host/", "/", "*", "host:22/", "user@host:22"})
    EXPECT_EQ(refused(head({std::string("CONNECT ") + target + " HTTP/1.1"})), 400u) << target;
  EXPECT_EQ(refused(head({"CONNECT host:22 HTTP/1.1", "Content-Length: 1"})), 400u);
  EXPECT_EQ(refused(head({"CONNECT host:22 HTTP/1.1", "Transfer-Encoding: chunked"})), 400u);
}

TEST(HttpRequestTest, UserInformationBecomesAField) {
  EXPECT_EQ(accepted(head({"GET http://us%65r:pa%3Ass%@host/ HTTP/1.1"})).header,
            "GET / HTTP/1.1\r\nHost: host\r\nAuthorization: Basic dXNlcjpwYTpzcyU=\r\n\r\n");
  EXPECT_EQ(accepted(head({"GET http://user@host/ HTTP/1.1"})).header,
            "GET / HTTP/1.1\r\nHost: host\r\nAuthorization: Basic dXNlcjo=\r\n\r\n");
  EXPECT_EQ(accepted(head({"GET http://user:x@host/ HTTP/1.1", "Authorization: Bearer y"})).header,
            "GET / HTTP/1.1\r\nHost: host\r\nAuthorization: Bearer y\r\n\r\n");
}

TEST(HttpRequestTest, LinesThatEndInLineFeedAlone) {
  const std::string header = "GET http://host/ HTTP/1.1\nX: y\n\n";
  EXPECT_EQ(header_bytes(header), header.size());
  EXPECT_EQ(header_bytes(header.substr(0, header.size() - 1)), 0u);
  EXPECT_EQ(header_bytes(header.substr(0, header.size() - 1) + "\r\n"), header.size() + 1);
  const HttpRequest request = accepted(header);
  EXPECT_EQ(request.destination.name, "host");
  EXPECT_THAT(request.header, testing::HasSubstr("\r\nX: y\r\n"));
  EXPECT_FALSE(request.keep_alive) << "nothing behind it is taken for a request";
  EXPECT_EQ(refused("GET http://host/ HTTP/1.1\nno colon\n\n"), 400u);
}

TEST(HttpRequestTest, AnUpgradeToH2cKeepsItsSettings) {
  EXPECT_EQ(accepted(head({"GET http://host/ HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                           "HTTP2-Settings: AAMAAABk"}))
                .header,
            "GET / HTTP/1.1\r\nHost: host\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"
            "HTTP2-Settings: AAMAAABk\r\n\r\n");
  EXPECT_EQ(accepted(head({"GET http://host/ HTTP/1.1", "HTTP2-Settings: AAMAAABk"})).header,
            "GET / HTTP/1.1\r\nHost: host\r\n\r\n");
}

TEST(HttpRequestTest, OnlyMaxForwardsIsCountedDown) {
  EXPECT_THAT(
      accepted(head({"OPTIONS http://host/ HTTP/1.1", "X-Max-Forwards: 5", "Max-Forwards: 5"})).header,
      testing::HasSubstr("\r\nX-Max-Forwards: 5\r\nMax-Forwards: 4\r\n"));
  EXPECT_THAT(
      accepted(head({"TRACE http://host/ HTTP/1.1", "Max-Forwards: 5", "Not-Max-Forwards: 5"})).header,
      testing::HasSubstr("\r\nMax-Forwards: 4\r\nNot-Max-Forwards: 5\r\n"));
}

TEST(HttpRequestTest, OtherTargets) {
  EXPECT_EQ(refused(head({"GET https://host/ HTTP/1.1"})), 501u);
  EXPECT_EQ(refused(head({"GET ftp://host/ HTTP/1.1"})), 501u);
  EXPECT_EQ(refused(head({"GET host HTTP/1.1"})), 400u);
  const HttpRequest own = accepted(head({"GET /proxy.pac HTTP/1.1", "Host: 127.0.0.1:1080"}));
  EXPECT_EQ(own.kind, RequestKind::kOwn);
  EXPECT_EQ(own.path, "/proxy.pac");
  EXPECT_EQ(own.host, "127.0.0.1:1080");
  EXPECT_EQ(own.method, "GET");
  EXPECT_EQ(accepted(head({"OPTIONS * HTTP/1.1"})).kind, RequestKind::kOwn);
}

TEST(HttpRequestTest, VersionsAndNonsense) {
  EXPECT_EQ(refused(head({"GET http://host/ HTTP/2.0"})), 505u);
  EXPECT_EQ(refused(head({"PRI * HTTP/2.0"})), 505u);
  EXPECT_EQ(refused(head({"GET http://host/ HTTP/0.9"})), 505u);
  for (const char* line : {"GET http://host/", "GET  http://host/ HTTP/1.1", "GET http://host/ HTTP/1.1 ",
                           "GET\thttp://host/ HTTP/1.1", "G{T http://host/ HTTP/1.1",
                           "GET http://ho\x01st/ HTTP/1.1", "GET http://host/ http/1.1", "hello"})
    EXPECT_EQ(refused(head({line})), 400u) << line;
}

// What an answer may have and is put right (http_response_test.cpp): here somebody else may read it
// otherwise.
TEST(HttpRequestTest, WhatIsPutRightInAnswersIsRefusedInRequests) {
  for (const std::string& header : {
           head({"POST http://a/ HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"}),
           head({"POST http://a/ HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}),
           head({"POST http://a/ HTTP/1.1", "Transfer-Encoding: chunked, chunked"}),
           head({"POST http://a/ HTTP/1.1", "Transfer-Encoding: identity, chunked"}),
           head({"POST http://a/ HTTP/1.1", "Content-Length: 5, 5"}),
           head({"POST http://a/ HTTP/1.1", "Content-Length : 5"}),
           head({"POST http://a/ HTTP/1.1", "X: a", " b"}),
           head({"POST http://a/ HTTP/1.1", "no colon"}),
           head({"GET http://a/ http/1.1"}),
           head({"GET http://a/ HTTP/1.2"}),
           head({"GET  http://a/ HTTP/1.1"}),
       }) {
    EXPECT_GE(refused(header), 400u) << header;
  }
}

TEST(HttpRequestTest, ForwardsAreCounted) {
  EXPECT_EQ(accepted(head({"OPTIONS http://host HTTP/1.1", "Max-Forwards: 10"})).header,
            head({"OPTIONS * HTTP/1.1", "Host: host", "Max-Forwards: 9"}));
  EXPECT_EQ(accepted(head({"TRACE http://host/ HTTP/1.1", "Max-Forwards: 0"})).kind, RequestKind::kOwn);
  EXPECT_EQ(accepted(head({"GET http://host/ HTTP/1.1", "Max-Forwards: 0"})).header,
            head({"GET / HTTP/1.1", "Host: host", "Max-Forwards: 0"}));
}

TEST(HttpRequestTest, PasswordIsAskedFor) {
  const std::string get = "GET http://host/ HTTP/1.1\r\n";
  EXPECT_EQ(accepted(get + kAlice + "\r\n", &credentials()).header, head({"GET / HTTP/1.1", "Host: host"}));
  EXPECT_EQ(accepted("CONNECT host:1 HTTP/1.1\r\n" + kAlice + "\r\n", &credentials()).kind,
            RequestKind::kConnect);
  EXPECT_EQ(refused(get + "\r\n", &credentials()), 407u);
  EXPECT_EQ(refused("CONNECT host:1 HTTP/1.1\r\n\r\n", &credentials()), 407u);
  EXPECT_EQ(refused(get + kAlice + kAlice + "\r\n", &credentials()), 407u);
  EXPECT_EQ(refused(get + "Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU=\r\n\r\n", &credentials()), 407u);
  for (const char* value :
       {"Basic YWxpY2U6b3BlbiBzZXNhbWU", "Basic YWxpY2U6b3BlbiBzZXNhbWV=", "Digest x", "Basic", "Basic ",
        "BasicYWxpY2U6b3BlbiBzZXNhbWU=", "Basic Og==", "Basic ****", "Basic \xff\xff\xff\xff"}) {
    EXPECT_EQ(refused(get + "Proxy-Authorization: " + value + "\r\n\r\n", &credentials()), 407u) << value;
  }
  EXPECT_EQ(
      refused(get + "Proxy-Authorization: Basic " + std::string(4096, 'A') + "\r\n\r\n", &credentials()),
      407u);
  EXPECT_EQ(accepted(head({"GET /proxy.pac HTTP/1.1"}), &credentials()).kind, RequestKind::kOwn);
}

TEST(HttpRequestTest, ConnectionGoesOnBehindARefusedUser) {
  const auto keeps = [](std::string_view header) {
    return std::get<HttpRefusal>(read_http_request(header, &credentials())).keep_alive;
  };
  EXPECT_TRUE(keeps(head({"GET http://host/ HTTP/1.1"})));
  EXPECT_TRUE(keeps(head({"CONNECT host:1 HTTP/1.1"})));
  EXPECT_FALSE(keeps(head({"GET http://host/ HTTP/1.0"})));
  EXPECT_FALSE(keeps(head({"POST http://host/ HTTP/1.1", "Content-Length: 1"}))) << "its body is not read";
}

// Whatever one byte of a request becomes: what is forwarded has one Host, one framing and the lines it
// should.
TEST(HttpRequestTest, EveryByteChanged) {
  const std::string header = head({"POST http://host:81/path HTTP/1.1", "Host: host:81", "Connection: x",
                                   "X: 1", "Content-Length: 12", "Y: 2"});
  for (std::size_t at = 0; at < header.size(); ++at) {
    for (int with = 0; with < 256; ++with) {
      std::string changed = header;
      changed[at] = static_cast<char>(with);
      if (header_bytes(changed) != changed.size()) continue;  // ends elsewhere
      const auto out = read_http_request(changed, nullptr);
      const auto* request = std::get_if<HttpRequest>(&out);
      if (!request || request->kind != RequestKind::kForward) continue;
      const std::string& sent = request->header;
      EXPECT_EQ(header_bytes(sent), sent.size());
      EXPECT_EQ(sent.find("\r\nHost: "), sent.rfind("\r\nHost: "));
      EXPECT_EQ(sent.find("Content-Length: "), sent.rfind("Content-Length: "));
      EXPECT_EQ(std::count(sent.begin(), sent.end(), '\n'), std::count(sent.begin(), sent.end(), '\r'));
      EXPECT_EQ(sent.find('\0'), std::string::npos);
    }
  }
}

TEST(HttpRequestTest, HeaderCutAnywhereIsNotComplete) {
  const std::string header = head({"GET http://host/ HTTP/1.1", "Host: host"});
  for (std::size_t size = 0; size < header.size(); ++size)
    EXPECT_EQ(header_bytes(header.substr(0, size)), 0u);
  for (std::size_t known = 0; known < header.size(); ++known)
    EXPECT_EQ(header_bytes(header + "next", known), header.size());
}

}  // namespace
}  // namespace zks::frontdoor
