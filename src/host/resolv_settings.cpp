// SPDX-License-Identifier: MIT
#include "host/resolv_settings.hpp"

#include <algorithm>
#include <array>

namespace zks::host {
namespace {

constexpr std::string_view kBlanks = " \t\r";

// The next word, which is taken from `text`; empty at its end.
std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

// As glibc reads it: the keyword in the first column. Empty for another line.
std::string kept(std::string_view line) {
  constexpr std::array<std::string_view, 4> kKeywords{"search", "domain", "options", "sortlist"};
  if (line.empty() || kBlanks.find(line.front()) != std::string_view::npos) return {};
  if (line.find('\0') != std::string_view::npos) return {};
  std::string out(next_word(line));
  if (std::ranges::find(kKeywords, out) == kKeywords.end()) return {};
  const std::size_t keyword = out.size();
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
    if (out.starts_with("options") && word == "trust-ad") continue;
    out.append(" ").append(word);
  }
  return out.size() == keyword ? std::string() : out + "\n";
}

}  // namespace

std::string resolver_settings(std::string_view resolv_conf) {
  std::string out;
  while (!resolv_conf.empty()) {
    const std::size_t end = std::min(resolv_conf.find('\n'), resolv_conf.size());
    const std::string line = kept(resolv_conf.substr(0, end));
    resolv_conf.remove_prefix(std::min(end + 1, resolv_conf.size()));
    if (out.size() + line.size() <= kMaxResolverSettings) out += line;
  }
  return out;
}

}  // namespace zks::host
