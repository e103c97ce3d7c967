// SPDX-License-Identifier: MIT
//
// Proxy-Authorization with the scheme Basic (RFC 7617): the user and password of --user, as an HTTP client
// sends them. Sans-IO; http_request.hpp asks.
#pragma once

#include <string_view>

#include "frontdoor/credentials.hpp"

namespace zks::frontdoor {

// `value` is the field's. Its base64 has to be in the one canonical form. No copy of the password stays.
bool basic_auth_matches(std::string_view value, const Credentials& credentials);

}  // namespace zks::frontdoor
