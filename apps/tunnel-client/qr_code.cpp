// SPDX-License-Identifier: MIT
#include "qr_code.hpp"

#include <memory>

#include <qrencode.h>

namespace zks::app {
namespace {

constexpr int kQuietZone = 2;  // modules; ISO/IEC 18004 asks for 4, readers are content with 2
constexpr const char* kBlackOnWhite = "\033[30;107m";
constexpr const char* kReset = "\033[0m";

bool is_dark(const QRcode& code, int row, int column) {
  if (row < 0 || column < 0 || row >= code.width || column >= code.width) return false;
  return (code.data[row * code.width + column] & 1) != 0;
}

}  // namespace

std::string draw_qr_code(const std::string& text) {
  const std::unique_ptr<QRcode, void (*)(QRcode*)> code(
      QRcode_encodeString8bit(text.c_str(), 0, QR_ECLEVEL_L), QRcode_free);
  if (!code) return {};
  std::string out;
  // A character is one module wide and two high.
  for (int row = -kQuietZone; row < code->width + kQuietZone; row += 2) {
    out += kBlackOnWhite;
    for (int column = -kQuietZone; column < code->width + kQuietZone; ++column) {
      const bool upper = is_dark(*code, row, column);
      const bool lower = is_dark(*code, row + 1, column);
      out += upper ? (lower ? "█" : "▀") : (lower ? "▄" : " ");
    }
    out.append(kReset).append("\n");
  }
  return out;
}

}  // namespace zks::app
