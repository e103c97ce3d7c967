// SPDX-License-Identifier: MIT
#include "frontdoor/http_fields.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>

namespace zks::frontdoor {
namespace {

using boost::beast::iequals;

// TE and Trailer go because trailer fields do (http_body.hpp).
constexpr http::field kOfThisConnection[] = {
    http::field::connection,
    http::field::proxy_connection,
    http::field::keep_alive,
    http::field::te,
    http::field::trailer,
    http::field::transfer_encoding,
    http::field::upgrade,
    http::field::content_length,
    http::field::host,
    http::field::proxy_authorization,
    http::field::proxy_authenticate,
    http::field::proxy_authentication_info,
    http::field::http2_settings,
};

std::optional<std::uint64_t> parse_length(std::string_view text) {
  std::uint64_t length = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return length;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// A set, since a header of 64 KiB can name 30,000 fields and have 10,000.
std::set<std::string> named_by_connection(const HttpFields& fields) {
  std::set<std::string> out;
  const auto [first, last] = fields.equal_range(http::field::connection);
  for (auto field = first; field != last; ++field) {
    for (const auto& token : http::token_list{field->value()}) out.insert(lower(view(token)));
  }
  return out;
}

}  // namespace

std::size_t header_bytes(std::string_view text, std::size_t known) {
  std::size_t at = text.find('\n', known < 2 ? 0 : known - 2);
  while (at != std::string_view::npos) {
    const std::string_view behind = text.substr(at + 1, 2);
    if (behind.starts_with('\n')) return at + 2;
    if (behind == "\r\n") return at + 3;
    at = text.find('\n', at + 1);
  }
  return 0;
}

bool has_lone_line_feed(std::string_view header) {
  for (std::size_t at = header.find('\n'); at != std::string_view::npos; at = header.find('\n', at + 1)) {
    if (at == 0 || header[at - 1] != '\r') return true;
  }
  return false;
}

std::string with_crlf(std::string_view header) {
  std::string out;
  out.reserve(header.size() + 64);
  for (const char c : header) {
    if (c == '\n' && !out.ends_with('\r')) out += '\r';
    out += c;
  }
  return out;
}

bool has_folded_field(std::string_view header) {
  return header.find("\n ") != std::string_view::npos || header.find("\n\t") != std::string_view::npos;
}

bool list_has(const HttpFields& fields, http::field name, std::string_view token) {
  const auto [first, last] = fields.equal_range(name);
  return std::any_of(first, last, [token](const auto& field) {
    const http::token_list list{field.value()};
    return std::any_of(list.begin(), list.end(), [token](const auto& each) {
      return iequals(each, boost::beast::string_view(token.data(), token.size()));
    });
  });
}

std::size_t count_of(const HttpFields& fields, http::field name) {
  return fields.count(name);
}

bool has_unknown_coding(const HttpFields& fields) {
  const auto [first, last] = fields.equal_range(http::field::transfer_encoding);
  return std::distance(first, last) > 1 ||
         std::any_of(first, last, [](const auto& field) { return !iequals(field.value(), "chunked"); });
}

std::optional<BodyFraming> read_framing(const HttpFields& fields) {
  const std::size_t lengths = count_of(fields, http::field::content_length);
  const std::size_t codings = count_of(fields, http::field::transfer_encoding);
  if (lengths + codings == 0) return BodyFraming{};
  if (lengths + codings > 1) return std::nullopt;
  if (codings == 1) {
    if (has_unknown_coding(fields)) return std::nullopt;
    return BodyFraming{BodyFraming::Kind::kChunked, 0};
  }
  const auto length = parse_length(view(fields[http::field::content_length]));
  if (!length) return std::nullopt;
  return BodyFraming{BodyFraming::Kind::kLength, *length};
}

std::string passed_on_fields(const HttpFields& fields) {
  const std::set<std::string> named = named_by_connection(fields);
  std::string out;
  for (const auto& field : fields) {
    if (std::find(std::begin(kOfThisConnection), std::end(kOfThisConnection), field.name()) !=
        std::end(kOfThisConnection)) {
      continue;
    }
    const std::string_view name = view(field.name_string());
    if (named.contains(lower(name))) continue;
    out.append(name).append(": ").append(view(field.value())).append("\r\n");
  }
  return out;
}

std::string framing_field(const BodyFraming& framing) {
  switch (framing.kind) {
    case BodyFraming::Kind::kLength:
      return "Content-Length: " + std::to_string(framing.length) + "\r\n";
    case BodyFraming::Kind::kChunked:
      return "Transfer-Encoding: chunked\r\n";
    case BodyFraming::Kind::kNone:
    case BodyFraming::Kind::kUntilClose:
      break;
  }
  return {};
}

}  // namespace zks::frontdoor
