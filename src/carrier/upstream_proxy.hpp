// SPDX-License-Identifier: MIT
//
// The HTTP proxy that a network lets its machines out through: where it is, whom we are to it, and which
// relays are reached without it. From --http-proxy or from the environment, read as curl reads it. Sans-IO;
// reach.hpp goes through it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/relay_url.hpp"

namespace zks::carrier {

struct UpstreamProxy {
  std::string host;
  std::uint16_t port = 80;
  // The value of Proxy-Authorization, which is as good as the password: wiped with its last owner, never
  // logged. Null where the proxy asks for nothing.
  std::shared_ptr<const std::string> authorization;

  std::string text() const { return format_host_port(host, port); }  // what may be logged
};

// [http://][USER:PASSWORD@]HOST[:PORT][/]; %XX stands for a byte in USER and PASSWORD. kUsage otherwise,
// whose text never repeats the URL.
Result<UpstreamProxy> parse_upstream_proxy(std::string_view url);

// RFC 7617: sets `proxy`'s authorization from USER:PASSWORD, taken as it stands.
Result<> set_credentials(UpstreamProxy& proxy, std::string_view user_and_password);

// The hosts of no_proxy: separated by commas or blanks; "*" alone means every host; a name stands for itself
// and for what ends in "." and it (a leading dot changes nothing); addresses and networks (10.0.0.0/8)
// stand for addresses, not for the names that have them: nothing is looked up.
class NoProxy {
 public:
  static constexpr std::size_t kMaxEntries = 1024;  // the rest is ignored

  NoProxy() = default;
  explicit NoProxy(std::string_view list);
  bool matches(std::string_view host) const;

 private:
  bool all_ = false;
  std::vector<std::string> entries_;  // lower case, without leading and trailing dots
};

struct ProxyRules {
  std::optional<UpstreamProxy> for_tls;    // wss://
  std::optional<UpstreamProxy> for_plain;  // ws://
  NoProxy except;

  // Null: the relay is dialled directly. Lives as long as the rules.
  const UpstreamProxy* choose(const RelayUrl& relay) const;
};

// https_proxy or HTTPS_PROXY, http_proxy (in lower case only: HTTP_PROXY is what a web server would make of a
// request's header "Proxy"), no_proxy or NO_PROXY; the lower-case one wins. `get` is std::getenv. kUsage when
// one of them can't be used.
Result<ProxyRules> proxies_of_environment(const std::function<const char*(const char*)>& get);

}  // namespace zks::carrier
