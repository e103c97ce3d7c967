// SPDX-License-Identifier: MIT
//
// The control socket, both ends: a request as the server reads it, and an answer as `status` shows it, which
// may ask a program of another version or, as root, of another user.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/control_request.hpp"
#include "ops/status_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto request = zks::ops::parse_control_request(text);
  if (!request) {
    const std::string answer = zks::ops::control_error(request.error().text);
    if (answer.find('\n') != std::string::npos) std::abort();
  }
  const auto status = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (status.is_discarded()) return 0;
  for (const char c : zks::ops::render_status(status)) {
    if (c != '\n' && (c < 0x20 || c > 0x7e)) std::abort();  // nothing that a terminal obeys
  }
  return 0;
}
