// SPDX-License-Identifier: MIT
//
// The target of an HTTP request to a proxy (RFC 9112, section 3.2): authority-form for CONNECT, absolute-form
// for everything that is to be forwarded. Sans-IO. http_request.hpp decides which one it has to be.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "session/destination.hpp"

namespace zks::frontdoor {

// HOST:PORT, IPv6 in brackets; without a port only where there is a default. Names may be whatever could
// stand in DNS, also numbers like 0x7f.1, and UTF-8, as over SOCKS: what they stand for is for the exit to
// judge. They come out in lower case.
std::optional<session::Destination> parse_authority(std::string_view text,
                                                    std::optional<std::uint16_t> default_port);

struct HttpTarget {
  session::Destination destination;
  std::string host;       // for the Host header: the authority as the client wrote it
  std::string path;       // origin-form: path and query
  std::string user_info;  // as written, "user:password", for a field of the request

  friend bool operator==(const HttpTarget&, const HttpTarget&) = default;
};

enum class TargetError : std::uint8_t {
  kBad,        // not a target
  kEncrypted,  // https: its TLS is the client's, which has to use CONNECT
  kScheme,     // some other scheme
};

// http://[USER[:PASSWORD]@]HOST[:PORT][PATH][?QUERY]. An empty path is "/" (or "*" for OPTIONS without a
// query). Fragments are refused.
std::variant<HttpTarget, TargetError> parse_absolute_target(std::string_view text, bool is_options);

}  // namespace zks::frontdoor
