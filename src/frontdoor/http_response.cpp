// SPDX-License-Identifier: MIT
#include "frontdoor/http_response.hpp"

#include "frontdoor/answer_header.hpp"
#include "frontdoor/http_fields.hpp"

namespace zks::frontdoor {
namespace {

using ResponseHeader = http::response_header<HttpFields>;
using FramingKind = BodyFraming::Kind;

constexpr unsigned kNoContent = 204;
constexpr unsigned kNotModified = 304;
constexpr unsigned kUpgradeRequired = 426;

// RFC 9112, section 6.3, items 1 and 2.
bool has_no_body(unsigned status, const HttpRequest& request) {
  return request.is_head || status < 200 || status == kNoContent || status == kNotModified;
}

std::string status_line(const ResponseHeader& message) {
  return "HTTP/1.1 " + std::to_string(message.result_int()) + " " + std::string(view(message.reason())) +
         "\r\n";
}

// What a body is framed as for a client: as it came, only that HTTP/1.0 does not know chunks.
BodyFraming framing_for(const BodyFraming& body, const HttpRequest& request) {
  if (body.kind == FramingKind::kChunked && !request.is_http11) return {FramingKind::kUntilClose, 0};
  return body;
}

HttpResponse read_interim(const ResponseHeader& message, const HttpRequest& request) {
  HttpResponse out;
  out.status = message.result_int();
  if (request.is_http11) out.header = status_line(message) + passed_on_fields(message) + "\r\n";
  return out;
}

std::optional<HttpResponse> read_upgrade(const ResponseHeader& message, const HttpRequest& request) {
  if (!request.upgrade) return std::nullopt;
  HttpResponse out;
  out.status = kSwitchingProtocols;
  out.header = status_line(message) + passed_on_fields(message) +
               "Connection: upgrade\r\nUpgrade: " + std::string(view(message[http::field::upgrade])) +
               "\r\n\r\n";
  return out;
}

}  // namespace

std::optional<HttpResponse> read_http_response(std::string_view header, const HttpRequest& request,
                                               bool closing) {
  const auto strict = strict_answer_header(header);
  if (!strict) return std::nullopt;
  HeaderParser<false> parser;
  http::error error{};
  if (!parse_header_block(parser, *strict, error)) return std::nullopt;
  const ResponseHeader& message = parser.get();
  const unsigned status = message.result_int();
  if (status < 100) return std::nullopt;
  if (status == kSwitchingProtocols) return read_upgrade(message, request);
  if (status < 200) return read_interim(message, request);

  const auto framing = read_framing(message);
  if (!framing) return std::nullopt;
  HttpResponse out;
  out.status = status;
  const bool bodiless = has_no_body(status, request);
  if (!bodiless) {
    out.body = *framing;
    if (out.body.kind == FramingKind::kNone) out.body.kind = FramingKind::kUntilClose;
    out.sent = framing_for(out.body, request);
  }
  out.reusable = message.version() >= 11 && !list_has(message, http::field::connection, "close") &&
                 out.body.kind != FramingKind::kUntilClose;
  out.keep_alive = request.keep_alive && !closing && out.sent.kind != FramingKind::kUntilClose;
  out.header = status_line(message) + passed_on_fields(message);
  // In an answer to HEAD, and in 304, Content-Length is what a body would have had.
  if (status >= 200 && status != kNoContent) out.header += framing_field(bodiless ? *framing : out.sent);
  // 426 has to say which protocol (RFC 9110, section 15.5.22), and Connection has to name that field.
  const bool names_upgrade = status == kUpgradeRequired && count_of(message, http::field::upgrade) == 1;
  if (names_upgrade) {
    out.header += "Upgrade: " + std::string(view(message[http::field::upgrade])) + "\r\n";
    out.header += out.keep_alive ? "Connection: upgrade\r\n" : "Connection: upgrade, close\r\n";
  } else if (!out.keep_alive) {
    out.header += "Connection: close\r\n";
  }
  out.header += "\r\n";
  return out;
}

}  // namespace zks::frontdoor
