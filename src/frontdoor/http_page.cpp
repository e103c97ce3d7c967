// SPDX-License-Identifier: MIT
#include "frontdoor/http_page.hpp"

#include "base/port.hpp"
#include "base/relay_url.hpp"
#include "frontdoor/http_target.hpp"

namespace zks::frontdoor {
namespace {

using session::ResetCode;

constexpr std::string_view kHtml = "text/html; charset=utf-8";
constexpr std::string_view kPac = "application/x-ns-proxy-autoconfig";

std::string_view reason_phrase(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 407:
      return "Proxy Authentication Required";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

// Fields that a status must or may have.
std::string_view extra_fields(unsigned status) {
  switch (status) {
    case 405:
      return "Allow: GET, HEAD\r\n";
    case 407:
      return "Proxy-Authenticate: Basic realm=\"ZKS-VPN proxy\", charset=\"UTF-8\"\r\n";
    case 503:
      return "Retry-After: 10\r\n";
    default:
      return {};
  }
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html(std::string_view title, std::string_view text) {
  const std::string heading = escaped(title);
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + heading +
         "</title></head>\n<body><h1>" + heading + "</h1>\n<p>" + escaped(text) +
         "</p>\n<p><small>ZKS-VPN, the proxy on this side of the tunnel</small></p></body></html>\n";
}

Bytes answer(unsigned status, std::string_view type, std::string_view body, PageOptions options) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_phrase(status)) + "\r\n";
  out.append("Content-Type: ").append(type);
  out += "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  out.append(extra_fields(status));
  if (!options.keep_alive) out += "Connection: close\r\n";
  out += "\r\n";
  if (!options.is_head) out.append(body);
  return Bytes(out.begin(), out.end());
}

std::string about(std::string_view address) {
  return "This is a SOCKS5, SOCKS4a and HTTP proxy, whose connections leave through an exit peer. Set a "
         "program's proxy to " +
         std::string(address) + ", or give a browser the PAC file http://" + std::string(address) +
         "/proxy.pac.";
}

}  // namespace

Bytes error_page(unsigned status, std::string_view text, PageOptions options) {
  const std::string title = std::to_string(status) + " " + std::string(reason_phrase(status));
  return answer(status, kHtml, html(title, text), options);
}

StreamFailure describe_failure(ResetCode code) {
  switch (code) {
    case ResetCode::kNotAllowed:
      return {403, "The exit's policy does not allow this destination."};
    case ResetCode::kQuotaUsedUp:
      return {403, "This access link's quota is used up. Ask the operator of the exit for more."};
    case ResetCode::kNameNotFound:
      return {502, "The exit found no such name."};
    case ResetCode::kNetworkUnreachable:
    case ResetCode::kHostUnreachable:
      return {502, "The exit has no route to the destination."};
    case ResetCode::kConnectionRefused:
      return {502, "The destination refused the connection."};
    case ResetCode::kConnectionReset:
      return {502, "The destination ended the connection before it answered."};
    case ResetCode::kTimedOut:
      return {504, "The destination did not answer, or there was no connection to the exit for 10 seconds."};
    case ResetCode::kSessionLost:
      return {503, "There is no connection to the exit."};
    case ResetCode::kLimit:
      return {503, "Too many connections are open through the tunnel, or too many were asked for at once."};
    case ResetCode::kAddressInUse:
    case ResetCode::kCancelled:
    case ResetCode::kGeneralFailure:
    case ResetCode::kCommandNotSupported:
    case ResetCode::kAddressNotSupported:
      break;
  }
  return {502, "The exit could not connect to the destination."};
}

std::string pac_address(std::string_view host, std::string_view fallback) {
  const auto parsed = parse_authority(host, kHttpPort);
  if (!parsed) return std::string(fallback);
  if (parsed->kind == session::Destination::Kind::kName && parsed->name != "localhost")
    return std::string(fallback);
  return session::to_text(*parsed);
}

std::string pac_file(std::string_view address, bool password) {
  const std::string at(address);
  const std::string proxies = password ? "PROXY " + at : "SOCKS5 " + at + "; PROXY " + at;
  // A pattern like 127.*.*.* would send 127.0.0.evil.example past the proxy as well.
  return "function FindProxyForURL(url, host) {\n"
         "  if (host == \"localhost\" || dnsDomainIs(host, \".localhost\") ||\n"
         "      /^127\\.\\d+\\.\\d+\\.\\d+$/.test(host) || host == \"::1\" || host == \"[::1]\") {\n"
         "    return \"DIRECT\";\n"
         "  }\n"
         "  return \"" +
         proxies + "\";\n}\n";
}

Bytes own_page(const HttpRequest& request, std::string_view address, bool password) {
  const bool can_follow = request.keep_alive && BodyReader(request.body).done();
  const PageOptions options{request.is_head, can_follow};
  if (request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS")
    return error_page(405, "The proxy's own pages can only be read.", options);
  if (request.path == "/proxy.pac") {
    const std::string at = pac_address(request.host, address);
    return answer(200, kPac, pac_file(at, password), options);
  }
  if (request.path == "/" || request.path == "*")
    return answer(200, kHtml, html("ZKS-VPN proxy", about(address)), options);
  return error_page(404, "The proxy has no such page. Its own are / and /proxy.pac.", options);
}

}  // namespace zks::frontdoor
