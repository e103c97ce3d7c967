// SPDX-License-Identifier: MIT
#include "carrier/upstream_proxy.hpp"

#include <array>
#include <charconv>

#include <arpa/inet.h>
#include <sodium.h>

#include "base/ascii.hpp"
#include "base/usage_error.hpp"

namespace zks::carrier {
namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::size_t kMaxUrlBytes = 2048;
constexpr std::size_t kMaxCredentialBytes = 512;
constexpr std::string_view kSeparators = ", \t";

// Owns a text that is wiped when the last owner lets go of it.
std::shared_ptr<std::string> secret_text() {
  return {new std::string, [](std::string* text) {
            sodium_memzero(text->data(), text->size());
            delete text;
          }};
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool percent_decode(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

// Takes the scheme off `url`.
Result<> check_scheme(std::string_view& url) {
  const std::size_t end = url.find("://");
  if (end == std::string_view::npos) return {};  // as curl: an HTTP proxy
  const std::string scheme = to_lower(url.substr(0, end));
  url.remove_prefix(end + 3);
  if (scheme == "http") return {};
  if (scheme == "https") {
    return usage_error(
        "TLS to the proxy itself is not built in; if the proxy has an http:// port too, give that: what goes "
        "through it is TLS with the relay anyway");
  }
  return usage_error("not an HTTP proxy: its URL starts with http://");
}

struct Address {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t size = 0;  // 4 or 16; 0: not an address
};

Address parse_address(std::string_view text) {
  Address out;
  const std::string name(text);
  if (::inet_pton(AF_INET, name.c_str(), out.bytes.data()) == 1) {
    out.size = 4;
  } else if (::inet_pton(AF_INET6, name.c_str(), out.bytes.data()) == 1) {
    out.size = 16;
  }
  return out;
}

bool in_network(const Address& address, std::string_view network) {
  const std::size_t slash = std::min(network.find('/'), network.size());
  const Address base = parse_address(network.substr(0, slash));
  if (base.size == 0 || base.size != address.size) return false;
  std::size_t bits = base.size * 8;
  if (slash < network.size()) {
    const std::string_view digits = network.substr(slash + 1);
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (ec != std::errc() || end != digits.data() + digits.size() || bits > base.size * 8) return false;
  }
  for (std::size_t i = 0; i < bits; ++i) {
    const int mask = 0x80 >> (i % 8);
    if (((address.bytes[i / 8] ^ base.bytes[i / 8]) & mask) != 0) return false;
  }
  return true;
}

std::string_view without_brackets(std::string_view host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') return host.substr(1, host.size() - 2);
  return host;
}

Result<std::optional<UpstreamProxy>> read_variable(const std::function<const char*(const char*)>& get,
                                                   std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = get(name);
    if (value == nullptr) continue;
    if (*value == '\0') return std::optional<UpstreamProxy>();
    auto proxy = parse_upstream_proxy(value);
    if (!proxy)
      return usage_error(std::string(name) + ": " + proxy.error().text + "; or give --http-proxy none");
    return std::optional<UpstreamProxy>(std::move(*proxy));
  }
  return std::optional<UpstreamProxy>();
}

}  // namespace

Result<> set_credentials(UpstreamProxy& proxy, std::string_view user_and_password) {
  if (user_and_password.size() > kMaxCredentialBytes)
    return usage_error("the user and password are too long");
  if (user_and_password.find(':') == std::string_view::npos)
    return usage_error("the proxy's user and password are joined by a colon, USER:PASSWORD");
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(user_and_password.begin(), user_and_password.end(), is_control))
    return usage_error("the proxy's user or password has control characters");
  constexpr std::string_view kScheme = "Basic ";
  const std::size_t size =
      sodium_base64_encoded_len(user_and_password.size(), sodium_base64_VARIANT_ORIGINAL);
  const auto value = secret_text();
  value->reserve(kScheme.size() + size);  // so that no shorter buffer with a part of it stays behind
  value->assign(kScheme);
  value->resize(kScheme.size() + size);
  sodium_bin2base64(value->data() + kScheme.size(), size,
                    reinterpret_cast<const unsigned char*>(user_and_password.data()),
                    user_and_password.size(), sodium_base64_VARIANT_ORIGINAL);
  value->pop_back();  // the terminating zero
  proxy.authorization = value;
  return {};
}

Result<UpstreamProxy> parse_upstream_proxy(std::string_view url) {
  if (url.size() > kMaxUrlBytes) return usage_error("the proxy's URL is too long");
  if (auto scheme = check_scheme(url); !scheme) return scheme.error();
  if (url.ends_with('/')) url.remove_suffix(1);
  UpstreamProxy out;
  const std::size_t at = url.rfind('@');
  if (at != std::string_view::npos) {
    const auto decoded = secret_text();
    decoded->reserve(at);
    if (!percent_decode(url.substr(0, at), *decoded))
      return usage_error("a % in the proxy's user or password is written %25");
    if (auto set = set_credentials(out, *decoded); !set) return set.error();
    url.remove_prefix(at + 1);
  }
  if (url.find_first_of("/?#") != std::string_view::npos)
    return usage_error(
        "a proxy's URL has no path, and /, ? and # in a password are written %2F, %3F and %23");
  auto place = parse_host_port(url, kHttpPort);
  if (!place) return usage_error("the proxy's URL: " + place.error().text);
  if (place->port == 0) return usage_error("the proxy's URL: port 0 can't be dialled");
  out.host = std::move(place->host);
  out.port = place->port;
  return out;
}

NoProxy::NoProxy(std::string_view list) {
  while (!list.empty() && entries_.size() < kMaxEntries) {
    const std::size_t begin = std::min(list.find_first_not_of(kSeparators), list.size());
    list.remove_prefix(begin);
    const std::size_t end = std::min(list.find_first_of(kSeparators), list.size());
    std::string_view entry = list.substr(0, end);
    list.remove_prefix(end);
    if (entry.starts_with('.')) entry.remove_prefix(1);
    if (entry.ends_with('.')) entry.remove_suffix(1);
    entry = without_brackets(entry);
    if (!entry.empty()) entries_.push_back(to_lower(entry));
  }
  all_ = entries_.size() == 1 && entries_.front() == "*";
}

bool NoProxy::matches(std::string_view host) const {
  if (all_) return true;
  host = without_brackets(host);
  const Address address = parse_address(host);
  std::string name = to_lower(host);
  if (name.ends_with('.')) name.pop_back();
  return std::any_of(entries_.begin(), entries_.end(), [&](const std::string& entry) {
    if (address.size != 0) return in_network(address, entry);
    return name == entry || (name.size() > entry.size() && name.ends_with(entry) &&
                             name[name.size() - entry.size() - 1] == '.');
  });
}

const UpstreamProxy* ProxyRules::choose(const RelayUrl& relay) const {
  const auto& proxy = relay.tls ? for_tls : for_plain;
  return proxy && !except.matches(relay.host) ? &*proxy : nullptr;
}

Result<ProxyRules> proxies_of_environment(const std::function<const char*(const char*)>& get) {
  ProxyRules out;
  auto for_tls = read_variable(get, {"https_proxy", "HTTPS_PROXY"});
  if (!for_tls) return for_tls.error();
  auto for_plain = read_variable(get, {"http_proxy"});
  if (!for_plain) return for_plain.error();
  out.for_tls = std::move(*for_tls);
  out.for_plain = std::move(*for_plain);
  const char* except = get("no_proxy");
  if (except == nullptr) except = get("NO_PROXY");
  if (except != nullptr) out.except = NoProxy(except);
  return out;
}

}  // namespace zks::carrier
