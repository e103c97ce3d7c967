// SPDX-License-Identifier: MIT
#include "ops/control_request.hpp"

#include <nlohmann/json.hpp>

#include "base/bytes.hpp"

namespace zks::ops {

Result<ControlRequest> parse_control_request(std::string_view line) {
  if (line.size() > kMaxControlRequestBytes)
    return make_error(ErrorKind::kProtocol, "the request is too long");
  const auto parsed = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return make_error(ErrorKind::kProtocol, "the request is not a JSON object");
  const auto at = parsed.find("request");
  if (at == parsed.end() || !at->is_string()) {
    return make_error(ErrorKind::kProtocol, "there is no string named \"request\"");
  }
  if (at->get_ref<const std::string&>() == "status") return ControlRequest::kStatus;
  return make_error(ErrorKind::kProtocol, "there is no such request; try \"status\"");
}

std::string control_error(std::string_view text) {
  return nlohmann::json{{"error", printable(text)}}.dump();
}

}  // namespace zks::ops
