// SPDX-License-Identifier: MIT
#include "frontdoor/http_request.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <boost/beast/core/string.hpp>
#include <sodium.h>

#include "frontdoor/basic_auth.hpp"
#include "frontdoor/http_fields.hpp"
#include "frontdoor/http_target.hpp"

namespace zks::frontdoor {
namespace {

using RequestKind = HttpRequest::Kind;
using Message = http::request_header<HttpFields>;

// Told apart from other nonsense since a client may try again with another version (RFC 9110, section
// 15.6.6).
bool has_other_version(std::string_view header) {
  const std::string_view line = header.substr(0, header.find("\r\n"));
  const std::size_t space = line.rfind(' ');
  const std::string_view version = line.substr(space == std::string_view::npos ? 0 : space + 1);
  return version.size() >= 6 && version.starts_with("HTTP/") && version[5] >= '0' && version[5] <= '9' &&
         version != "HTTP/1.1" && version != "HTTP/1.0";
}

HttpRefusal refuse(unsigned status, std::string_view reason) {
  HttpRefusal out;
  out.status = status;
  out.reason = reason;
  return out;
}

bool wants_keep_alive(const Message& message) {
  const auto either_has = [&message](std::string_view token) {
    return list_has(message, http::field::connection, token) ||
           list_has(message, http::field::proxy_connection, token);
  };
  // HTTP/1.0's keep-alive is not for proxies (RFC 9112, section 9.3).
  return message.version() >= 11 && !either_has("close");
}

bool is_safe(http::verb method) {
  return method == http::verb::get || method == http::verb::head || method == http::verb::options;
}

std::optional<HttpRefusal> refuse_framing(const Message& message) {
  const std::size_t codings = count_of(message, http::field::transfer_encoding);
  if (codings == 1 && count_of(message, http::field::content_length) == 0 && has_unknown_coding(message))
    return refuse(501, "the proxy knows no other Transfer-Encoding than chunked");
  // RFC 9112, section 6.1: framing that the sender's own version does not have.
  if (codings > 0 && message.version() < 11) return refuse(400, "Transfer-Encoding in a request of HTTP/1.0");
  if (!read_framing(message))
    return refuse(400, "Content-Length and Transfer-Encoding do not say clearly where the request ends");
  if (count_of(message, http::field::host) > 1) return refuse(400, "more than one Host");
  return std::nullopt;
}

std::optional<HttpRefusal> refuse_user(const Message& message, const Credentials* credentials,
                                       const HttpRequest& request) {
  if (credentials == nullptr) return std::nullopt;
  const bool one = count_of(message, http::field::proxy_authorization) == 1;
  if (one && basic_auth_matches(view(message[http::field::proxy_authorization]), *credentials))
    return std::nullopt;
  HttpRefusal out = refuse(407, "the proxy asks for a user and a password");
  out.is_head = request.is_head;
  out.keep_alive = request.keep_alive && BodyReader(request.body).done();
  return out;
}

// RFC 9110, section 7.6.2: one hop less. False at zero, where it is the proxy that has to answer.
bool count_down_forwards(const Message& message, std::string& fields) {
  const auto found = message.find(http::field::max_forwards);
  if (found == message.end()) return true;
  std::uint32_t hops = 0;
  const std::string_view text = view(found->value());
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), hops);
  if (ec != std::errc() || end != text.data() + text.size()) return true;
  if (hops == 0) return false;
  // Behind a line's end, since other names may end like this one.
  const std::string line =
      "\r\n" + std::string(view(found->name_string())) + ": " + std::string(text) + "\r\n";
  fields.insert(0, "\r\n");
  const std::size_t at = fields.find(line);
  if (at != std::string::npos)
    fields.replace(at, line.size(), "\r\nMax-Forwards: " + std::to_string(hops - 1) + "\r\n");
  fields.erase(0, 2);
  return true;
}

std::string without_escapes(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::uint8_t byte = 0;
    const bool escaped = text[i] == '%' && i + 2 < text.size() &&
                         std::from_chars(&text[i + 1], &text[i + 1] + 2, byte, 16).ptr == &text[i + 1] + 2;
    out += escaped ? static_cast<char>(byte) : text[i];
    if (escaped) i += 2;
  }
  return out;
}

// What a URL says of the user goes on as a field, as programs without a proxy send it; in the target of a
// request it must not stand (RFC 9110, section 4.2.4).
std::string authorization(const Message& message, const HttpTarget& target) {
  if (target.user_info.empty() || count_of(message, http::field::authorization) > 0) return {};
  std::string text = without_escapes(target.user_info);
  if (text.find(':') == std::string::npos) text += ':';
  std::string out(sodium_base64_ENCODED_LEN(text.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  ::sodium_bin2base64(out.data(), out.size(), as_bytes(text).data(), text.size(),
                      sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();  // the NUL
  return "Authorization: Basic " + out + "\r\n";
}

// The header as it goes on. Host comes from the target whatever the client's own Host said (RFC 9112, section
// 3.2.2). No Via and no Forwarded: they would tell each server that there is a proxy.
std::string header_to_send(const Message& message, const HttpTarget& target, const HttpRequest& request,
                           const std::string& fields) {
  std::string out = std::string(view(message.method_string())) + " " + target.path + " HTTP/1.1\r\n";
  out +=
      "Host: " + target.host + "\r\n" + fields + authorization(message, target) + framing_field(request.body);
  if (request.upgrade) {
    // What an upgrade to h2c can't do without (RFC 7540, section 3.2.1).
    const bool h2c = count_of(message, http::field::http2_settings) == 1;
    out += h2c ? "Connection: upgrade, http2-settings\r\n" : "Connection: upgrade\r\n";
    out += "Upgrade: " + std::string(view(message[http::field::upgrade])) + "\r\n";
    if (h2c) out += "HTTP2-Settings: " + std::string(view(message[http::field::http2_settings])) + "\r\n";
  } else if (!request.keep_alive) {
    out += "Connection: close\r\n";
  }
  return out + "\r\n";
}

std::variant<HttpRequest, HttpRefusal> read_connect(const Message& message, HttpRequest request) {
  request.kind = RequestKind::kConnect;
  // What follows is the tunnel's, for us and for everybody who reads along.
  if (!BodyReader(request.body).done()) return refuse(400, "CONNECT has no body");
  const auto destination = parse_authority(view(message.target()), std::nullopt);
  if (!destination) return refuse(400, "CONNECT takes HOST:PORT");
  request.destination = *destination;
  return request;
}

std::variant<HttpRequest, HttpRefusal> read_forward(const Message& message, HttpRequest request) {
  const bool is_options = message.method() == http::verb::options;
  auto target = parse_absolute_target(view(message.target()), is_options);
  if (const auto* error = std::get_if<TargetError>(&target)) {
    if (*error == TargetError::kEncrypted)
      return refuse(501,
                    "for https a program has to ask with CONNECT, so that the proxy does not see inside");
    if (*error == TargetError::kScheme) return refuse(501, "only http:// goes through the proxy like this");
    return refuse(400, "the request's target is neither a path nor a URL");
  }
  const HttpTarget& to = std::get<HttpTarget>(target);
  request.kind = RequestKind::kForward;
  request.destination = to.destination;
  request.upgrade = request.is_http11 && count_of(message, http::field::upgrade) == 1 &&
                    list_has(message, http::field::connection, "upgrade") && BodyReader(request.body).done();
  request.repeatable = is_safe(message.method()) && BodyReader(request.body).done() && !request.upgrade;
  std::string fields = passed_on_fields(message);
  if ((is_options || message.method() == http::verb::trace) && !count_down_forwards(message, fields)) {
    request.kind = RequestKind::kOwn;
    request.path = "/";
    return request;
  }
  request.header = header_to_send(message, to, request, fields);
  return request;
}

HttpRequest read_own(const Message& message, HttpRequest request) {
  request.kind = RequestKind::kOwn;
  request.path = std::string(view(message.target()));
  request.host = std::string(view(message[http::field::host]));
  return request;
}

}  // namespace

std::variant<HttpRequest, HttpRefusal> read_http_request(std::string_view header,
                                                         const Credentials* credentials) {
  if (has_lone_line_feed(header)) {
    const std::string strict = with_crlf(header);
    auto out = read_http_request(strict, credentials);
    // Whoever else reads along may see another end of this header, so nothing behind it is a request.
    if (auto* request = std::get_if<HttpRequest>(&out)) request->keep_alive = false;
    if (auto* refusal = std::get_if<HttpRefusal>(&out)) refusal->keep_alive = false;
    return out;
  }
  if (has_folded_field(header)) return refuse(400, "a field that goes on in the next line");
  HeaderParser<true> parser;
  http::error error{};
  if (!parse_header_block(parser, header, error)) {
    if (error == http::error::bad_version && has_other_version(header))
      return refuse(505, "the proxy speaks HTTP/1.1 and HTTP/1.0");
    return refuse(400, "not a request of HTTP/1.1");
  }
  const Message& message = parser.get();
  if (auto refusal = refuse_framing(message)) return *refusal;

  HttpRequest request;
  request.method = std::string(view(message.method_string()));
  request.is_head = message.method() == http::verb::head;
  request.is_http11 = message.version() >= 11;
  request.keep_alive = wants_keep_alive(message);
  request.body = *read_framing(message);
  const bool connect = message.method() == http::verb::connect;
  const bool own = message.target().starts_with('/') || message.target() == "*";
  if (!connect && own) return read_own(message, std::move(request));
  if (auto refusal = refuse_user(message, credentials, request)) return *refusal;
  return connect ? read_connect(message, std::move(request)) : read_forward(message, std::move(request));
}

}  // namespace zks::frontdoor
