// SPDX-License-Identifier: MIT
//
// What the proxy itself says over HTTP: small pages for errors, which a person may come to see in a browser,
// its own page, and the PAC file. Sans-IO. Nothing that a client sent stands in any of them.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "frontdoor/http_request.hpp"
#include "session/destination.hpp"

namespace zks::frontdoor {

struct PageOptions {
  bool is_head = false;     // the header alone
  bool keep_alive = false;  // otherwise it says that the connection is closed
};

// `text` is escaped.
Bytes error_page(unsigned status, std::string_view text, PageOptions options);

// A stream that could not be opened, or was reset before its answer: the gateway's status (RFC 9110, section
// 15.6) and what to tell.
struct StreamFailure {
  unsigned status;
  std::string_view text;
};
StreamFailure describe_failure(session::ResetCode code);

// Answers a request to the proxy itself. `address` is where the client reached it, ADDR:PORT. `password`: the
// proxy asks for one.
Bytes own_page(const HttpRequest& request, std::string_view address, bool password);

// The PAC file for a proxy at `address`. Only names and addresses of loopback go past it, and nothing when it
// is down: a page that does not load is better than one that went around the tunnel. SOCKS5 comes first since
// with it a connection costs a round trip less; not with a password, which browsers don't send over SOCKS5.
std::string pac_file(std::string_view address, bool password);

// `host`, a Host field, as the proxy's address in the PAC file, when it is an IP address or "localhost", with
// or without a port; otherwise `fallback`. Any other name could be anybody's (DNS rebinding).
std::string pac_address(std::string_view host, std::string_view fallback);

}  // namespace zks::frontdoor
