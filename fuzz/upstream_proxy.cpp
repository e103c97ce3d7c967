// SPDX-License-Identifier: MIT
//
// Upstream proxies. The first byte chooses: a proxy's URL with a list of exceptions, or an answer to CONNECT,
// whose outcome does not depend on how it is cut unless bytes follow its header.
#include <cstdlib>

#include "carrier/connect_answer.hpp"

namespace {

using namespace zks;
using namespace zks::carrier;

void require(bool condition) {
  if (!condition) std::abort();
}

void try_url(std::string_view text) {
  const std::size_t line = text.find('\n');
  const auto proxy = parse_upstream_proxy(text.substr(0, line));
  if (proxy) {
    require(proxy->port != 0 && !proxy->host.empty());
    const auto again = parse_upstream_proxy("http://" + proxy->text());
    require(again && again->text() == proxy->text() && !again->authorization);
    const std::string request = connect_request(*proxy, "h:1");
    // One header and no line of anybody else's.
    require(request.find("\r\n\r\n") == request.size() - 4);
    std::size_t lines = 0;
    for (const char c : request) lines += c == '\n' ? 1 : 0;
    require(lines == (proxy->authorization ? 4u : 3u));
  }
  if (line == std::string_view::npos) return;
  const NoProxy except(text.substr(line + 1));
  if (proxy) (void)except.matches(proxy->host);
  (void)except.matches("10.0.0.1");
  require(NoProxy("*").matches(text.substr(0, line)));
}

struct Outcome {
  int status = 0;
  bool done = false;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view text, std::size_t piece) {
  ConnectAnswer reader;
  Outcome out;
  while (!text.empty() && !out.done && !out.failed) {
    const auto whole = reader.take(text.substr(0, piece));
    text.remove_prefix(std::min(piece, text.size()));
    out.failed = !whole;
    out.done = whole && *whole;
  }
  if (!out.done) return out;
  out.status = reader.status();
  require(out.status >= 200 && out.status < 600);
  if (!reader.accepted()) {
    UpstreamProxy proxy;
    proxy.host = "p";
    const Error error = reader.refusal(proxy, "h:1");
    require(error.text.size() < 400);
    for (const char c : error.text) require(c >= 0x20 && c < 0x7f);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) {
    try_url(text);
    return 0;
  }
  const Outcome whole = read(text, std::max<std::size_t>(text.size(), 1));
  const Outcome pieces = read(text, 1 + (data[0] >> 1));
  // Cut where the header ends, the bytes behind it are not seen.
  const bool early_bytes = whole.failed && pieces.done;
  require(whole == pieces || early_bytes);
  return 0;
}
