// SPDX-License-Identifier: MIT
#include "carrier/connect_answer.hpp"

#include "base/ascii.hpp"

namespace zks::carrier {
namespace {

constexpr std::size_t kMaxSchemeBytes = 20;

Error not_http() {
  return make_error(ErrorKind::kProtocol, "its answer to CONNECT is not HTTP");
}

// Where the header ends, behind its empty line; npos when that has not come. RFC 9112, section 2.2 lets a
// line end in LF alone.
std::size_t end_of_header(std::string_view bytes) {
  for (std::size_t at = bytes.find('\n'); at != std::string_view::npos; at = bytes.find('\n', at + 1)) {
    const std::string_view rest = bytes.substr(at + 1);
    if (rest.starts_with('\n')) return at + 2;
    if (rest.starts_with("\r\n")) return at + 3;
  }
  return std::string_view::npos;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// "HTTP/1.1 200 Connection established"; 0 when it is no status line.
int read_status(std::string_view line) {
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || !is_digit(line[7]) || line[8] != ' ') return 0;
  int status = 0;
  for (const char c : line.substr(9, 3)) {
    if (!is_digit(c)) return 0;
    status = status * 10 + (c - '0');
  }
  if (line.size() > 12 && line[12] != ' ') return 0;
  return status >= 100 && status < 600 ? status : 0;
}

}  // namespace

std::string connect_request(const UpstreamProxy& proxy, const std::string& target) {
  std::string out;
  // One allocation: a shorter one that is outgrown would keep a part of the authorization.
  out.reserve(128 + 2 * target.size() + (proxy.authorization ? proxy.authorization->size() : 0));
  out.append("CONNECT ").append(target).append(" HTTP/1.1\r\nHost: ").append(target).append("\r\n");
  if (proxy.authorization) out.append("Proxy-Authorization: ").append(*proxy.authorization).append("\r\n");
  return out.append("\r\n");
}

Result<bool> ConnectAnswer::take(std::string_view bytes) {
  const std::size_t room = kMaxHeaderBytes - past_bytes_ - bytes_.size();
  bytes_.append(bytes.substr(0, room + 1));
  for (;;) {
    const std::size_t end = end_of_header(bytes_);
    if (std::min(end, bytes_.size()) + past_bytes_ > kMaxHeaderBytes)
      return make_error(ErrorKind::kProtocol, "the header of its answer to CONNECT is too long");
    if (end == std::string_view::npos) {
      constexpr std::string_view kStart = "HTTP/1.";
      const std::string_view begun = std::string_view(bytes_).substr(0, kStart.size());
      if (!kStart.starts_with(begun)) return not_http();  // without waiting for the rest
      return false;
    }
    if (auto read = read_header(std::string_view(bytes_).substr(0, end)); !read) return read.error();
    const bool interim = status_ / 100 == 1;
    if (accepted() && bytes_.size() > end)
      return make_error(ErrorKind::kProtocol, "it sent something of its own into the tunnel");
    if (!interim) return true;
    past_bytes_ += end;
    bytes_.erase(0, end);
  }
}

Result<> ConnectAnswer::read_header(std::string_view header) {
  status_ = read_status(take_line(header));
  if (status_ == 0) return not_http();
  while (!header.empty()) read_field(take_line(header));
  return {};
}

void ConnectAnswer::read_field(std::string_view line) {
  constexpr std::string_view kName = "proxy-authenticate:";
  if (!equal_ignoring_case(line.substr(0, kName.size()), kName)) return;
  line.remove_prefix(kName.size());
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const auto ends = [](char c) { return !is_letter(c) && !is_digit(c); };
  const auto end = std::find_if(line.begin(), line.end(), ends);
  const std::string_view scheme = line.substr(0, static_cast<std::size_t>(end - line.begin()));
  if (equal_ignoring_case(scheme, "basic")) {
    asks_basic_ = true;
  } else if (asks_other_.empty()) {
    asks_other_ = scheme.substr(0, kMaxSchemeBytes);
  }
}

Error ConnectAnswer::refusal(const UpstreamProxy& proxy, const std::string& target) const {
  const std::string said = "the HTTP proxy " + proxy.text() + " answered status " + std::to_string(status_);
  std::string what;
  switch (status_) {
    case 401:  // tinyproxy, of a wrong password
    case 407:
      if (!asks_basic_ && !asks_other_.empty()) {
        what =
            ": it asks for " + asks_other_ +
            ", and only Basic is known here; a proxy on this machine that translates, such as cntlm, helps";
      } else if (proxy.authorization) {
        what =
            ": it does not take this user and password; look at --http-proxy, --http-proxy-user-file or "
            "https_proxy";
      } else {
        what = ": it asks for a user and password; give them with --http-proxy-user-file";
      }
      break;
    case 403:
      what = ": it does not let us through to " + target +
             "; many proxies allow port 443 only, so a relay there may do";
      break;
    case 400:
    case 404:
    case 405:
    case 501:
      what = ": it may not be an HTTP proxy, or not one that knows CONNECT";
      break;
    case 502:
    case 503:
    case 504:
      what = ": it can't reach " + target + ", whose name it looks up itself";
      break;
    default:
      what = " when asked for " + target;
      break;
  }
  return make_error(ErrorKind::kRefused, said + what, status_);
}

}  // namespace zks::carrier
