// SPDX-License-Identifier: MIT
//
// Answers from their headers: what the client gets, where the body ends, and what may follow.
#include "frontdoor/http_response.hpp"

#include <gtest/gtest.h>

namespace zks::frontdoor {
namespace {

using Framing = BodyFraming::Kind;

std::string header_of(std::initializer_list<std::string_view> lines) {
  std::string out;
  for (const std::string_view line : lines) out.append(line).append("\r\n");
  return out + "\r\n";
}

HttpRequest get() {
  HttpRequest request;
  request.kind = HttpRequest::Kind::kForward;
  request.keep_alive = true;
  return request;
}
HttpRequest old_get() {
  HttpRequest request = get();
  request.is_http11 = request.keep_alive = false;
  return request;
}

HttpResponse read(std::string_view header, const HttpRequest& request = get(), bool closing = false) {
  const auto out = read_http_response(header, request, closing);
  EXPECT_TRUE(out) << header;
  return out.value_or(HttpResponse{});
}

TEST(HttpResponseTest, Length) {
  const HttpResponse response =
      read(header_of({"HTTP/1.1 200 Fine so far", "Content-Length: 5", "Server: s"}));
  EXPECT_EQ(response.header, header_of({"HTTP/1.1 200 Fine so far", "Server: s", "Content-Length: 5"}));
  EXPECT_EQ(response.body, (BodyFraming{Framing::kLength, 5}));
  EXPECT_EQ(response.sent, response.body);
  EXPECT_TRUE(response.keep_alive && response.reusable);
  EXPECT_FALSE(response.is_interim());
}

TEST(HttpResponseTest, Chunked) {
  const std::string header = header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: X"});
  const HttpResponse response = read(header);
  EXPECT_EQ(response.header, header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"}));
  EXPECT_EQ(response.sent.kind, Framing::kChunked);
  const HttpResponse old = read(header, old_get());
  EXPECT_EQ(old.header, header_of({"HTTP/1.1 200 OK", "Connection: close"}));
  EXPECT_EQ(old.body.kind, Framing::kChunked);
  EXPECT_EQ(old.sent.kind, Framing::kUntilClose);
}

TEST(HttpResponseTest, UntilClose) {
  const HttpResponse response = read(header_of({"HTTP/1.1 200 OK"}));
  EXPECT_EQ(response.header, header_of({"HTTP/1.1 200 OK", "Connection: close"}));
  EXPECT_EQ(response.body.kind, Framing::kUntilClose);
  EXPECT_FALSE(response.keep_alive || response.reusable);
}

TEST(HttpResponseTest, WithoutABody) {
  HttpRequest is_head = get();
  is_head.is_head = true;
  const HttpResponse response = read(header_of({"HTTP/1.1 200 OK", "Content-Length: 5"}), is_head);
  EXPECT_EQ(response.header, header_of({"HTTP/1.1 200 OK", "Content-Length: 5"}));
  EXPECT_EQ(response.body.kind, Framing::kNone);
  EXPECT_TRUE(response.keep_alive && response.reusable);
  EXPECT_EQ(read(header_of({"HTTP/1.1 200 OK"}), is_head).body.kind, Framing::kNone);
  EXPECT_EQ(read(header_of({"HTTP/1.1 304 Not Modified", "Content-Length: 5"})).header,
            header_of({"HTTP/1.1 304 Not Modified", "Content-Length: 5"}));
  const HttpResponse empty = read(header_of({"HTTP/1.1 204 No Content", "Content-Length: 5"}));
  EXPECT_EQ(empty.header, header_of({"HTTP/1.1 204 No Content"}));
  EXPECT_EQ(empty.body.kind, Framing::kNone);
}

TEST(HttpResponseTest, WhoMayGoOn) {
  const HttpResponse closes = read(header_of({"HTTP/1.1 200 OK", "Connection: close", "Content-Length: 0"}));
  EXPECT_TRUE(closes.keep_alive);
  EXPECT_FALSE(closes.reusable);
  const HttpResponse old = read(header_of({"HTTP/1.0 200 OK", "Content-Length: 0"}));
  EXPECT_EQ(old.header, header_of({"HTTP/1.1 200 OK", "Content-Length: 0"}));
  EXPECT_TRUE(old.keep_alive);
  EXPECT_FALSE(old.reusable);
  const HttpResponse last = read(header_of({"HTTP/1.1 200 OK", "Content-Length: 0"}), get(), true);
  EXPECT_EQ(last.header, header_of({"HTTP/1.1 200 OK", "Content-Length: 0", "Connection: close"}));
  EXPECT_FALSE(last.keep_alive);
}

TEST(HttpResponseTest, FieldsOfTheConnectionEndHere) {
  EXPECT_EQ(read(header_of({"HTTP/1.1 200 OK", "Connection: X, keep-alive", "X: 1", "Keep-Alive: timeout=5",
                            "Upgrade: h2", "Proxy-Authenticate: Basic realm=x", "Set-Cookie: a",
                            "Set-Cookie: b", "Content-Length: 0"}))
                .header,
            header_of({"HTTP/1.1 200 OK", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 0"}));
}

TEST(HttpResponseTest, Interim) {
  const HttpResponse response = read(header_of({"HTTP/1.1 103 Early Hints", "Link: </a>", "Connection: x"}));
  EXPECT_TRUE(response.is_interim());
  EXPECT_EQ(response.header, header_of({"HTTP/1.1 103 Early Hints", "Link: </a>"}));
  EXPECT_EQ(read(header_of({"HTTP/1.1 100 Continue"})).header, header_of({"HTTP/1.1 100 Continue"}));
  EXPECT_EQ(read(header_of({"HTTP/1.1 100 Continue"}), old_get()).header, "");
}

TEST(HttpResponseTest, SwitchingProtocols) {
  const std::string header = header_of({"HTTP/1.1 101 Switching Protocols", "Connection: Upgrade",
                                        "Upgrade: websocket", "Sec-WebSocket-Accept: x"});
  HttpRequest request = get();
  EXPECT_FALSE(read_http_response(header, request, false)) << "nobody asked for it";
  request.upgrade = true;
  const HttpResponse response = read(header, request);
  EXPECT_FALSE(response.is_interim());
  EXPECT_EQ(response.header, header_of({"HTTP/1.1 101 Switching Protocols", "Sec-WebSocket-Accept: x",
                                        "Connection: upgrade", "Upgrade: websocket"}));
}

TEST(HttpResponseTest, WhatBrowsersTakeGoesOnAsStrictReadersTakeIt) {
  const std::string plain = header_of({"HTTP/1.1 200 OK", "X: a", "Content-Length: 5"});
  for (const std::string& lenient : {
           header_of({"HTTP/1.1 200 OK", "X : a", "Content-Length \t: 5"}),
           header_of({"HTTP/1.1 200 OK", "X: a", "Content-Length: 5", "content-length: 5"}),
           header_of({"HTTP/1.1 200 OK", "X: a", "Content-Length: 5, 5,5"}),
           header_of({"HTTP/1.1 200 OK", "X: a", "Transfer-Encoding: Identity", "Content-Length: 5"}),
           header_of({"HTTP/1.1 200 OK", "no colon", " folded", "X: a", ": nothing", "X[1]: b",
                      "Content-Length: 5"}),
           header_of({"HTTP/1.1 200 OK", "X:", "\ta", "Content-Length: 5"}),
           std::string("HTTP/1.1 200 OK\nX: a\nContent-Length: 5\n\n"),
           std::string("HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\n"),
           header_of({"HTTP/1.1  200 OK", "X: a", "Content-Length: 5,"}),
           header_of({"HTTP/1.1 \t 200  OK", "X: a", "Content-Length: 5"}),
           header_of({"http/1.1 200 OK", "X: a", "Content-Length: 5"}),
           header_of({"HTTP/1.2 200 OK", "X: a", "Content-Length: 5"}),
           header_of({"HTTP/2 200 OK", "X: a", "Content-Length: 5"}),
           header_of({"Http/3.0 200 OK", "X: a", "Content-Length: 5"}),
           header_of({"HTTP/1.1 200 OK", "X: a", "Transfer-Encoding: identity,", "Content-Length: 5"}),
       }) {
    EXPECT_EQ(read(lenient).header, plain) << lenient;
    EXPECT_EQ(read(lenient).body, (BodyFraming{Framing::kLength, 5})) << lenient;
  }
  EXPECT_EQ(read(header_of({"HTTP/1.1 200", "X: a\x01\x1b", "Content-Length: 5"})).header,
            header_of({"HTTP/1.1 200 OK", "X: a", "Content-Length: 5"}));
  EXPECT_EQ(
      read(header_of({"HTTP/1.1 404  Not\x01there ", "Content-Type: a;", " \tb=c", "Content-Length: 5"}))
          .header,
      header_of({"HTTP/1.1 404 Not there", "Content-Type: a; b=c", "Content-Length: 5"}));
}

// Which version a server names beyond ours says nothing about how it keeps connections.
TEST(HttpResponseTest, OnlyAVersionOfOursKeepsTheServersConnection) {
  for (const auto& [version, kept] : {std::pair{"HTTP/1.1", true},
                                      {"hTTP/1.9", true},
                                      {"HTTP/1.0", false},
                                      {"HTTP/0.9", false},
                                      {"HTTP/2", false},
                                      {"HTTP/2.0", false}}) {
    const HttpResponse response = read(header_of({std::string(version) + " 200 OK", "Content-Length: 5"}));
    EXPECT_EQ(response.reusable, kept) << version;
    EXPECT_TRUE(response.keep_alive) << version;
  }
}

// RFC 9112, section 6.3: chunks override any length, which does not go on; the server's connection ends.
TEST(HttpResponseTest, ChunksOverrideEveryLength) {
  for (const std::string& doubtful : {
           header_of({"HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"}),
           header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: Chunked", "Content-Length: 15"}),
           header_of(
               {"HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 6"}),
           header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Length: five"}),
           header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}),
           header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked, CHUNKED,"}),
       }) {
    const HttpResponse response = read(doubtful);
    EXPECT_EQ(response.header, header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"})) << doubtful;
    EXPECT_EQ(response.body.kind, Framing::kChunked) << doubtful;
    EXPECT_EQ(response.sent.kind, Framing::kChunked) << doubtful;
    EXPECT_TRUE(response.keep_alive) << doubtful;
    EXPECT_FALSE(response.reusable) << doubtful;
  }
  const HttpResponse plain = read(header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: identity, chunked"}));
  EXPECT_EQ(plain.header, header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"}));
  EXPECT_TRUE(plain.reusable);
}

TEST(HttpResponseTest, FieldsThatBelongToAStatus) {
  EXPECT_EQ(
      read(header_of({"HTTP/1.1 407 Who", "Proxy-Authenticate: Basic realm=x", "Content-Length: 0"})).header,
      header_of({"HTTP/1.1 407 Who", "Content-Length: 0"}));
  EXPECT_EQ(
      read(header_of({"HTTP/1.1 426 Other", "Upgrade: TLS/1.2", "Connection: Upgrade", "Content-Length: 0"}))
          .header,
      header_of({"HTTP/1.1 426 Other", "Content-Length: 0", "Upgrade: TLS/1.2", "Connection: upgrade"}));
}

TEST(HttpResponseTest, NotPassedOn) {
  const std::vector<std::string> headers = {
      header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: gzip", "Content-Length: 5"}),
      header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip"}),
      header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: xchunked"}),
      header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked;q=1"}),
      header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "X Content-Length: 5"}),
      header_of({"HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 6"}),
      header_of({"HTTP/1.1 200 OK", "Content-Length: ,"}),
      header_of({"HTTP/1.1 200 OK", "Content-Length:"}),
      header_of({"HTTP/1.1 200 OK", "Content-Length: five"}),
      header_of({"HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"}),
      header_of({"HTTP/1.1 200 OK", "Content-Length: 5, 6"}),
      header_of({"HTTP/1.1 200 OK", "Content-Length: 5", " 6"}),
      header_of({"HTTP/1.1 200 OK", " X: folded into nothing"}),
      header_of({"HTTP/1.1 200 OK", "Content-Length 5"}),
      header_of({"HTTP/1.1 200 OK", "X Transfer-Encoding: chunked"}),
      header_of({"HTTP/1.1 200 OK", "X: a\rContent-Length: 5"}),
      header_of({"HTTP/1.1 200 OK", std::string_view("X: a\0b", 6)}),
      header_of({"HTTP/1.1 200OK"}),
      header_of({"HTTP/1.1 2000 OK"}),
      header_of({"HTTP/1.10 200 OK"}),
      header_of({"HTTP/1. 200 OK"}),
      header_of({"HTTP/ 200 OK"}),
      header_of({"HTTP/x.1 200 OK"}),
      header_of({"HTTP/1.1"}),
      header_of({" HTTP/1.1 200 OK"}),
      header_of({"HTTPS/1.1 200 OK"}),
      header_of({"HTTP/1.1 099 Low"}),
      header_of({"HTTP/1.1 20 OK"}),
      header_of({"ICY 200 OK"}),
      header_of({"SSH-2.0-OpenSSH"}),
  };
  for (const std::string& header : headers) EXPECT_FALSE(read_http_response(header, get(), false)) << header;
}

}  // namespace
}  // namespace zks::frontdoor
