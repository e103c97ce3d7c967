// SPDX-License-Identifier: MIT
//
// A destination's answer, from its header alone: what goes to the client, and where the body ends. Sans-IO;
// http_exchange.hpp reads it from the stream. What is not clear to every reader is not passed on: a client
// that takes half an answer for the next one would show one site's page as another's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "frontdoor/http_request.hpp"

namespace zks::frontdoor {

inline constexpr unsigned kSwitchingProtocols = 101;  // RFC 9110, section 15.2.2
inline constexpr std::size_t kMaxResponseHeaderBytes = 64 * 1024;

struct HttpResponse {
  unsigned status = 0;
  std::string header;       // as it goes to the client; empty for a 1xx that it would not understand
  BodyFraming body;         // as it comes
  BodyFraming sent;         // as it goes on
  bool keep_alive = false;  // the client may send another request behind it
  bool reusable = false;    // the destination takes another request behind it

  bool is_interim() const { return status < 200 && status != kSwitchingProtocols; }
  friend bool operator==(const HttpResponse&, const HttpResponse&) = default;
};

// `header` is complete, with its empty line. `closing`: this connection takes no further request.
// std::nullopt for what is no answer to `request`. A 407 goes on without its challenge: a password for the
// proxy is not the destination's to ask for.
std::optional<HttpResponse> read_http_response(std::string_view header, const HttpRequest& request,
                                               bool closing);

}  // namespace zks::frontdoor
