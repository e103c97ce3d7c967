// SPDX-License-Identifier: MIT
//
// What requests and responses have in common on their way through a proxy: the end of a header, Beast's
// parser for it, and which fields a proxy does not pass on. Sans-IO; http_request.hpp and http_response.hpp
// build on it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <sodium.h>

#include "frontdoor/http_body.hpp"

namespace zks::frontdoor {

namespace http = boost::beast::http;

// A request's header may hold the proxy's password, so what Beast kept of it is overwritten.
template <class T>
struct WipingAllocator {
  using value_type = T;

  WipingAllocator() = default;
  template <class U>
  WipingAllocator(const WipingAllocator<U>&) {}  // NOLINT(google-explicit-constructor): as allocators need it

  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) {
    sodium_memzero(static_cast<void*>(memory), count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  friend bool operator==(const WipingAllocator&, const WipingAllocator&) { return true; }
};

using HttpFields = http::basic_fields<WipingAllocator<char>>;
template <bool isRequest>
using HeaderParser = http::parser<isRequest, http::empty_body, WipingAllocator<char>>;

inline std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

// The size of the header at the front of `text`, the empty line included; 0 while it is not complete.
// `known`: as many bytes have been looked at before. LF alone ends a line too (RFC 9112, section 2.2): a
// header that is not recognised as complete would be waited for.
std::size_t header_bytes(std::string_view text, std::size_t known = 0);

bool has_lone_line_feed(std::string_view header);
// `header` with every LF behind a CR.
std::string with_crlf(std::string_view header);

// A field that continues on the next line (RFC 9112, section 5.2) is read in more than one way out there.
bool has_folded_field(std::string_view header);

// Gives `parser` the whole header. False when Beast does not take it, or not all of it; `error` then.
template <bool isRequest>
bool parse_header_block(HeaderParser<isRequest>& parser, std::string_view header, http::error& error) {
  boost::system::error_code ec;
  parser.body_limit(boost::none);
  parser.header_limit(static_cast<std::uint32_t>(header.size()));
  const std::size_t taken = parser.put(boost::asio::const_buffer(header.data(), header.size()), ec);
  error = ec ? static_cast<http::error>(ec.value()) : http::error::unexpected_body;
  return !ec && parser.is_header_done() && taken == header.size();
}

// Tokens of a list like Connection's, compared without regard to case (RFC 9110, section 5.6.1).
bool list_has(const HttpFields& fields, http::field name, std::string_view token);
std::size_t count_of(const HttpFields& fields, http::field name);

// Content-Length, and Transfer-Encoding only where it is "chunked" and nothing else; kNone without either.
// std::nullopt where what they say is not clear to every reader (RFC 9112, section 6.3): both, several, not a
// number.
std::optional<BodyFraming> read_framing(const HttpFields& fields);
// True for a Transfer-Encoding that asks for another coding than "chunked" alone.
bool has_unknown_coding(const HttpFields& fields);

// The fields that go on, one line each: all but those that are about this connection (RFC 9110, section
// 7.6.1): Connection and what it names, the proxy's own, and framing and Host, which are written anew.
std::string passed_on_fields(const HttpFields& fields);
std::string framing_field(const BodyFraming& framing);

}  // namespace zks::frontdoor
