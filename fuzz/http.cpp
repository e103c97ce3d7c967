// SPDX-License-Identifier: MIT
//
// HTTP as the proxy reads it. The first byte chooses: a request, an answer to some request, or the chunked
// body of either. What is passed on is one header with one framing and no line that could be taken for
// another; read again it means the same. A body's outcome does not depend on how it is cut.
#include <algorithm>
#include <cstdlib>

#include "frontdoor/http_fields.hpp"
#include "frontdoor/http_page.hpp"
#include "frontdoor/http_response.hpp"

namespace {

using namespace zks;
using namespace zks::frontdoor;

void require(bool condition) {
  if (!condition) std::abort();
}

std::size_t lines_of(const std::string& header, std::string_view name) {
  std::string lower = header;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const std::string start = "\r\n" + std::string(name) + ":";
  std::size_t count = 0;
  for (std::size_t at = lower.find(start); at != std::string::npos; at = lower.find(start, at + 1)) ++count;
  return count;
}

// One header from the first byte to the last, whose lines all end in CRLF.
void require_whole(const std::string& header) {
  require(header_bytes(header) == header.size());
  require(std::count(header.begin(), header.end(), '\r') == std::count(header.begin(), header.end(), '\n'));
  require(header.find('\0') == std::string::npos);
  require(!has_folded_field(header));
  require(lines_of(header, "content-length") + lines_of(header, "transfer-encoding") <= 1);
  require(lines_of(header, "connection") <= 1);
  require(lines_of(header, "proxy-authorization") == 0 && lines_of(header, "proxy-connection") == 0);
}

void try_request(std::string_view text, const Credentials* credentials) {
  const std::size_t size = header_bytes(text);
  if (size == 0) return;
  const auto out = read_http_request(text.substr(0, size), credentials);
  if (const auto* refusal = std::get_if<HttpRefusal>(&out)) {
    require(refusal->status >= 400 && refusal->status < 600 && !refusal->reason.empty());
    return;
  }
  const HttpRequest& request = std::get<HttpRequest>(out);
  if (request.kind == HttpRequest::Kind::kOwn) {
    const Bytes page = own_page(request, "127.0.0.1:1080", credentials != nullptr);
    require(page.size() < 4096);
    return;
  }
  require(request.destination.port != 0);
  if (request.kind == HttpRequest::Kind::kConnect) return;
  require_whole(request.header);
  require(lines_of(request.header, "host") == 1);
  // User information becomes a field, in base64; each LF has its CR.
  require(request.header.size() <= 3 * size + 64);
  // An origin's reader: another proxy behind this one would see the same framing.
  const std::string line = request.header.substr(0, request.header.find("\r\n"));
  const std::string again =
      line.substr(0, line.find(' ')) + " http://h/" + request.header.substr(line.rfind(" HTTP/"));
  const auto second = read_http_request(again, nullptr);
  const auto* same = std::get_if<HttpRequest>(&second);
  require(same != nullptr && same->body == request.body);
}

void try_response(std::string_view text, std::uint8_t choice) {
  const std::size_t size = header_bytes(text);
  if (size == 0) return;
  HttpRequest request;
  request.kind = HttpRequest::Kind::kForward;
  request.is_head = (choice & 1) != 0;
  request.is_http11 = (choice & 2) != 0;
  request.keep_alive = request.is_http11;
  request.upgrade = (choice & 4) != 0;
  const auto response = read_http_response(text.substr(0, size), request, (choice & 8) != 0);
  if (!response || response->header.empty()) return;
  require_whole(response->header);
  require(!response->keep_alive || response->sent.kind != BodyFraming::Kind::kUntilClose);
  const auto again = read_http_response(response->header, request, false);
  require(again && again->status == response->status && again->body == response->sent);
}

void try_body(ByteView input, std::size_t cut, BodyReader::LineEnd line_end) {
  struct Outcome {
    Bytes body;
    std::size_t rest = 0;
    bool done = false;
    bool failed = false;
    bool operator==(const Outcome&) const = default;
  };
  const auto read = [input, line_end](std::size_t piece_bytes) {
    BodyReader reader({BodyFraming::Kind::kChunked, 0}, line_end);
    Outcome out;
    ByteView rest = input;
    while (!rest.empty() && !reader.done() && !reader.failed()) {
      ByteView piece = rest.first(std::min(piece_bytes, rest.size()));
      const std::size_t before = piece.size();
      const ByteView part = reader.next(piece);
      out.body.insert(out.body.end(), part.begin(), part.end());
      rest = rest.subspan(before - piece.size());
    }
    out.rest = rest.size();
    out.done = reader.done();
    out.failed = reader.failed();
    return out;
  };
  const Outcome whole = read(input.size());
  require(read(cut) == whole);
  if (!whole.done) return;
  // Framed anew it holds the same, to the strictest reader.
  BodyReader reader({BodyFraming::Kind::kChunked, 0}, line_end);
  ByteView rest = input;
  const Bytes framed = reframe(reader, rest, BodyFraming::Kind::kChunked);
  BodyReader second({BodyFraming::Kind::kChunked, 0});
  rest = framed;
  require(reframe(second, rest, BodyFraming::Kind::kLength) == whole.body);
  require(second.done() && rest.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Credentials known(as_bytes("u"), as_bytes("p"));
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  const std::uint8_t choice = data[0] >> 2;
  switch (data[0] & 3) {
    case 0:
      try_request(as_text(input), (choice & 1) != 0 ? &known : nullptr);
      break;
    case 1:
      try_response(as_text(input), choice);
      break;
    case 2:
      try_body(input, 1 + choice, BodyReader::LineEnd::kCrLf);
      break;
    default:
      try_body(input, 1 + choice, BodyReader::LineEnd::kLfToo);
  }
  return 0;
}
