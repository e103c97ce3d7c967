// SPDX-License-Identifier: MIT
//
// An access link as a QR code for the camera of a phone.
#pragma once

#include <string>

namespace zks::app {

// Lines of half blocks, black on white by ANSI colours whatever the terminal's own are. Empty when `text` is
// longer than a QR code holds.
std::string draw_qr_code(const std::string& text);

}  // namespace zks::app
