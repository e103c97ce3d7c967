// SPDX-License-Identifier: MIT
//
// What an HTTP client asks the proxy for, decided from the header of its request alone: RFC 9112 and RFC 9110
// as a proxy reads them, refusing whatever another reader could take for something else. Sans-IO;
// http_door.hpp reads headers and does what comes out.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "frontdoor/credentials.hpp"
#include "frontdoor/http_body.hpp"
#include "session/destination.hpp"

namespace zks::frontdoor {

inline constexpr std::size_t kMaxRequestHeaderBytes = 16 * 1024;

struct HttpRequest {
  enum class Kind : std::uint8_t {
    kConnect,  // a tunnel to `destination`
    kForward,  // `header` is for `destination`
    kOwn,      // for the proxy itself: `path`
  };

  Kind kind = Kind::kOwn;
  bool is_head = false;     // no answer to it has a body
  bool is_http11 = true;    // knows chunks and 1xx responses
  bool keep_alive = false;  // the client would send another request on this connection
  bool repeatable = false;  // may be sent again when nothing came back: a safe method without a body
  bool upgrade = false;     // may become another protocol (101)
  BodyFraming body;

  session::Destination destination;
  std::string header;  // kForward: as it goes to the destination
  std::string method;  // kOwn
  std::string path;    // kOwn
  std::string host;    // kOwn: the Host field, not looked at yet

  friend bool operator==(const HttpRequest&, const HttpRequest&) = default;
};

// A request that is not served, and why; http_page.hpp makes an answer of it.
struct HttpRefusal {
  unsigned status = 400;
  std::string_view reason;  // for a person, a literal
  bool is_head = false;
  bool keep_alive = false;  // the next request may be found behind this one

  friend bool operator==(const HttpRefusal&, const HttpRefusal&) = default;
};

// `header` is complete, with its empty line. `credentials`, when not null, are asked for (407), except by the
// proxy's own pages: a browser fetches its PAC file without.
std::variant<HttpRequest, HttpRefusal> read_http_request(std::string_view header,
                                                         const Credentials* credentials);

}  // namespace zks::frontdoor
