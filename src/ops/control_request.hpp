// SPDX-License-Identifier: MIT
//
// What may be asked at the control socket: one line of JSON, such as {"request":"status"}. Sans-IO;
// control_server.hpp reads the line and answers with another.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace zks::ops {

inline constexpr std::size_t kMaxControlRequestBytes = 4 * 1024;

enum class ControlRequest : std::uint8_t { kStatus };

// `line` without its end. kProtocol, with a text for the asker, for anything else; unknown members are
// ignored.
Result<ControlRequest> parse_control_request(std::string_view line);

// {"error":"..."}.
std::string control_error(std::string_view text);

}  // namespace zks::ops
