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

// "HTTP/x.y NNN", with or without a reason behind it, in whatever case and with whatever space between (RFC
// 9112, section 4). A higher minor version is 1.1 to us (RFC 9110, section 2.5). Of another major version
// only the line can be, which some servers fill in from how they themselves were asked; 1.0 keeps no
// connection.
std::optional<std::string> strict_status_line(std::string_view line) {
  constexpr std::string_view kName = "http/";
  if (to_lower(line.substr(0, kName.size())) != kName) return std::nullopt;
  const std::size_t space = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view version = line.substr(kName.size(), space - kName.size());
  const bool has_minor = version.size() == 3 && version[1] == '.' && is_digit(version[2]);
  if (version.empty() || !is_digit(version[0]) || (version.size() != 1 && !has_minor)) return std::nullopt;
  const std::string_view rest = trimmed(line.substr(space));
  const std::string_view status = rest.substr(0, 3);
  if (status.size() < 3 || !std::all_of(status.begin(), status.end(), is_digit)) return std::nullopt;
  if (rest.size() > 3 && !is_blank(rest[3])) return std::nullopt;
  const bool is_new = has_minor && version[0] == '1' && version[2] != '0';
  return std::string(is_new ? "HTTP/1.1 " : "HTTP/1.0 ") + std::string(status) + " " +
         std::string(trimmed(rest.substr(3)));
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

// Calls `use` with the members of a list, without empty ones (RFC 9110, section 5.6.1). False if there is
// none.
template <class Use>
bool for_each_member(std::string_view list, Use use) {
  bool any = false;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view member = trimmed(list.substr(0, comma));
    if (!member.empty()) use(member);
    any = any || !member.empty();
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return any;
}

// Where the message ends, in as few fields as say it.
struct Framing {
  std::vector<std::string> lengths;  // different ones; the second is as good as all
  std::size_t chunked = 0;           // how often it is said
  std::string other_coding;          // than "chunked" and "identity"
};

void add_length(Framing& framing, std::string_view length) {
  const auto known = std::find(framing.lengths.begin(), framing.lengths.end(), length);
  if (known == framing.lengths.end() && framing.lengths.size() < 2) framing.lengths.emplace_back(length);
}

void add_coding(Framing& framing, std::string_view coding) {
  const std::string name = to_lower(coding);
  if (name == "chunked") {
    ++framing.chunked;
  } else if (name != "identity") {
    framing.other_coding = coding;
  }
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

// Whoever reads an answer decodes chunks once, however often they are said, and no length counts beside them.
void append_framing(std::string& out, const Framing& framing) {
  if (!framing.other_coding.empty()) append_field(out, "Transfer-Encoding", framing.other_coding);
  if (framing.chunked > 0) append_field(out, "Transfer-Encoding", "chunked");
  if (framing.chunked == 0) {
    for (const std::string& length : framing.lengths) append_field(out, "Content-Length", length);
  } else if (framing.chunked > 1 || !framing.lengths.empty()) {
    append_field(out, "Connection", "close");
  }
}

std::string joined(const std::vector<Field>& fields) {
  std::string out;
  Framing framing;
  for (const Field& field : fields) {
    const std::string name = to_lower(field.name);
    if (name == "content-length") {
      const bool any =
          for_each_member(field.value, [&framing](std::string_view each) { add_length(framing, each); });
      if (!any) add_length(framing, {});  // which is no number
    } else if (name == "transfer-encoding") {
      for_each_member(field.value, [&framing](std::string_view each) { add_coding(framing, each); });
    } else {
      append_field(out, field.name, field.value);
    }
  }
  append_framing(out, framing);
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
