// SPDX-License-Identifier: MIT
//
// Answers are read more leniently than requests, as browsers read them: servers that have answered like this
// for decades work without a proxy. What comes out is what a strict reader takes, so that everybody behind it
// sees the same. What would leave the end of the message in doubt stays an error. Sans-IO.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace zks::frontdoor {

// `header` is complete, with its empty line, and so is what comes out. Lines end in CRLF then; space before a
// colon is gone (RFC 9112, section 5.1); folded lines are one (section 5.2); lines that are no field are
// gone; control characters are spaces. A status line is HTTP/1.1 or 1.0, with single spaces. Content-Length
// is said once if all its values are equal (RFC 9110, section 8.6); codings are "chunked" once, or left as
// they are if there is another one, and without Content-Length (RFC 9112, section 6.3); "identity" is gone.
// Where the server's framing was at fault, "Connection: close" says that nothing behind it is an answer.
// std::nullopt for a CR within a line, NUL, a status line of something else, and a line that is no field but
// names where the message ends.
std::optional<std::string> strict_answer_header(std::string_view header);

}  // namespace zks::frontdoor
