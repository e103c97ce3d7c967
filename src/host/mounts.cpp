// SPDX-License-Identifier: MIT
#include "host/mounts.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace zks::host {
namespace {

constexpr std::size_t kFields = 5;  // id, parent, device, root, mount point
enum Field : std::size_t { kRoot = 3, kMountPoint = 4 };

// Space, tab, newline and backslash are \ and three octal digits.
std::string unescape(std::string_view text) {
  const auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || !digit(i + 1) || !digit(i + 2) || !digit(i + 3)) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
    i += 3;
  }
  return out;
}

}  // namespace

std::string mounted_at(std::string_view mountinfo, std::string_view path) {
  std::string out;
  while (!mountinfo.empty()) {
    std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(line.size() + 1, mountinfo.size()));
    std::array<std::string_view, kFields> fields;
    for (std::string_view& field : fields) {
      field = line.substr(0, line.find(' '));
      line.remove_prefix(std::min(field.size() + 1, line.size()));
    }
    if (unescape(fields[kMountPoint]) == path) out = unescape(fields[kRoot]);
  }
  return out;
}

std::string mounted_at(const std::string& path) {
  std::error_code ignored;
  const auto real = std::filesystem::weakly_canonical(path, ignored);
  std::ifstream file("/proc/self/mountinfo");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return mounted_at(text, ignored ? path : real.string());
}

}  // namespace zks::host
