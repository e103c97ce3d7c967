// SPDX-License-Identifier: MIT
#include "frontdoor/answer_header.hpp"

#include <algorithm>
#include <vector>

#include "base/ascii.hpp"

namespace zks::frontdoor {
namespace {

struct Field {
  std::string name;
  std::string value;
};

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) {
  static constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || kOthers.find(c) != std::string_view::npos;
  });
}

// The line at the front, without its end, which is taken off. std::nullopt for a CR or NUL within it.
std::optional<std::string> take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find('\r') != std::string_view::npos || line.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::string out(line);
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; }, ' ');
  return out;
}

// "HTTP/1.x NNN", with or without a reason behind it.
std::optional<std::string> strict_status_line(std::string_view line) {
  constexpr std::size_t kStatusAt = 9;
  constexpr std::size_t kReasonAt = 12;
  const bool known = line.starts_with("HTTP/1.0 ") || line.starts_with("HTTP/1.1 ");
  if (!known || line.size() < kReasonAt) return std::nullopt;
  const std::string_view status = line.substr(kStatusAt, 3);
  if (!std::all_of(status.begin(), status.end(), is_digit)) return std::nullopt;
  if (line.size() > kReasonAt && line[kReasonAt] != ' ') return std::nullopt;
  return std::string(line.substr(0, kReasonAt)) + " " + std::string(trimmed(line.substr(kReasonAt)));
}

bool names_framing(std::string_view line) {
  const std::string lower = to_lower(line);
  return lower.find("content-length") != std::string::npos ||
         lower.find("transfer-encoding") != std::string::npos;
}

// False for a line that leaves the end of the message in doubt.
bool add_line(std::vector<Field>& fields, std::string_view line, bool& is_dropped) {
  if (is_blank(line.front())) {
    if (fields.empty() && !is_dropped) return false;
    if (is_dropped) return !names_framing(line);
    fields.back().value.append(" ").append(trimmed(line));
    return true;
  }
  const std::size_t colon = std::min(line.find(':'), line.size());
  const std::string_view name = trimmed(line.substr(0, colon));
  is_dropped = colon == line.size() || !is_token(name);
  if (is_dropped) return !names_framing(line.substr(0, colon));
  fields.push_back({std::string(name), std::string(trimmed(line.substr(colon + 1)))});
  return true;
}

// One value where a list says the same several times, else the list.
std::string one_of_equals(const std::string& list) {
  std::string_view rest = list;
  const std::string_view first = trimmed(rest.substr(0, rest.find(',')));
  while (true) {
    const std::size_t comma = rest.find(',');
    if (trimmed(rest.substr(0, comma)) != first) return list;
    if (comma == std::string_view::npos) return std::string(first);
    rest.remove_prefix(comma + 1);
  }
}

std::string joined(const std::vector<Field>& fields) {
  std::string out;
  std::optional<std::string> length;
  for (const Field& field : fields) {
    const std::string name = to_lower(field.name);
    if (name == "transfer-encoding" && to_lower(field.value) == "identity") continue;
    if (name == "content-length") {
      const std::string value = one_of_equals(field.value);
      if (length == value) continue;
      length = value;
      out.append(field.name).append(": ").append(value).append("\r\n");
      continue;
    }
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  return out;
}

}  // namespace

std::optional<std::string> strict_answer_header(std::string_view header) {
  const auto first = take_line(header);
  if (!first) return std::nullopt;
  const auto status_line = strict_status_line(*first);
  if (!status_line) return std::nullopt;
  std::vector<Field> fields;
  bool is_dropped = false;
  while (!header.empty()) {
    const auto line = take_line(header);
    if (!line) return std::nullopt;
    if (line->empty()) break;
    if (!add_line(fields, *line, is_dropped)) return std::nullopt;
  }
  return *status_line + "\r\n" + joined(fields) + "\r\n";
}

}  // namespace zks::frontdoor
