// SPDX-License-Identifier: MIT
#include "hide_secrets.hpp"

#include <cstring>
#include <string_view>

namespace zks::app {
namespace {

constexpr std::string_view kOptions[] = {"--user", "--header", "--http-proxy"};

void hide_after(char* text, char mark) {
  char* found = std::strchr(text, mark);
  if (found != nullptr) std::memset(found + 1, '*', std::strlen(found + 1));
}

bool holds_link(std::string_view text) {
  return text.find("zks://") != std::string_view::npos || text.find("zks+ws://") != std::string_view::npos;
}

}  // namespace

void hide_secrets(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view text = argv[i];
    if (holds_link(text)) hide_after(argv[i], '#');
    for (const std::string_view option : kOptions) {
      if (!text.starts_with(option)) continue;
      if (text.size() == option.size() && i + 1 < argc) hide_after(argv[i + 1], ':');
      if (text.size() > option.size() && text[option.size()] == '=') hide_after(argv[i], ':');
    }
  }
}

}  // namespace zks::app
