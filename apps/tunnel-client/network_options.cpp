// SPDX-License-Identifier: MIT
#include "network_options.hpp"

#include <algorithm>
#include <cstdlib>

#include <net/if.h>

#include "base/log.hpp"
#include "base/usage_error.hpp"
#include "secret_file.hpp"

namespace zks::app {
namespace {

constexpr std::size_t kMaxUserBytes = 512;
constexpr const char* kNone = "none";

// What the kernel takes for a name (dev_valid_name()); whether there is such an interface is seen at each
// dial.
Result<std::string> parse_interface(std::string_view text) {
  const auto may_stand = [](unsigned char c) { return c > 0x20 && c != 0x7f && c != '/' && c != ':'; };
  if (text.empty() || text.size() >= IFNAMSIZ || text == "." || text == ".." ||
      !std::all_of(text.begin(), text.end(), may_stand)) {
    return usage_error("not the name of a network interface, as in eth0; `ip link` lists them");
  }
  return std::string(text);
}

Result<std::string> check_http_proxy(std::string_view text) {
  if (text == kNone) return std::string(text);
  const auto proxy = carrier::parse_upstream_proxy(text);
  if (!proxy) return proxy.error();
  return std::string(text);
}

Result<carrier::ProxyRules> read_rules(const NetworkText& text) {
  if (text.http_proxy.empty()) {
    return carrier::proxies_of_environment([](const char* name) -> const char* { return std::getenv(name); });
  }
  carrier::ProxyRules rules;
  if (text.http_proxy == kNone) return rules;
  auto proxy = carrier::parse_upstream_proxy(text.http_proxy);
  if (!proxy) return proxy.error();
  rules.for_tls = *proxy;
  rules.for_plain = std::move(*proxy);
  return rules;
}

}  // namespace

void add_network(CLI::App& app, CommonOptions& common, NetworkText& text) {
  ops::add_parsed<std::string>(
      app, "--http-proxy", text.http_proxy, check_http_proxy,
      "reach relays through this HTTP proxy, http://[USER:PASSWORD@]HOST:PORT, by CONNECT; without it "
      "https_proxy (for ws:// http_proxy) and no_proxy of the environment decide; none: directly",
      "URL|none");
  app.add_option("--http-proxy-user-file", text.http_proxy_user_file,
                 "the proxy's user and password, USER:PASSWORD as the only line of a file")
      ->type_name("FILE");
  ops::add_parsed<std::string>(
      app, "--bind-interface", common.dial.interface, parse_interface,
      "reach relays by this network interface only; name lookups go as the system sends them", "NAME");
}

Result<> finish_network(const NetworkText& text, CommonOptions& common) {
  auto rules = read_rules(text);
  if (!rules) return rules.error();
  if (!text.http_proxy_user_file.empty()) {
    if (!rules->for_tls && !rules->for_plain)
      return usage_error("--http-proxy-user-file: there is no proxy; give one with --http-proxy");
    const auto line = read_secret_line(text.http_proxy_user_file, kMaxUserBytes);
    if (!line) return line.error();
    for (auto* proxy : {&rules->for_tls, &rules->for_plain}) {
      if (!*proxy) continue;
      if (auto set = carrier::set_credentials(**proxy, line->view()); !set)
        return usage_error(text.http_proxy_user_file + ": " + set.error().text);
    }
  }
  common.dial.proxies = std::make_shared<const carrier::ProxyRules>(std::move(*rules));
  return {};
}

Result<> refuse_own_proxy(const carrier::DialOptions& dial, const std::vector<RelayUrl>& relays,
                          const net::Endpoints& listen) {
  for (const RelayUrl& relay : relays) {
    const auto* proxy = dial.proxies ? dial.proxies->choose(relay) : nullptr;
    const bool own = proxy != nullptr && std::any_of(listen.begin(), listen.end(), [&](const auto& at) {
                       return proxy->port == at.port() &&
                              (proxy->host == "localhost" || proxy->host == at.address().to_string());
                     });
    if (!own) continue;
    return usage_error(
        "the HTTP proxy for relays, " + proxy->text() +
        ", is the one that this program is to be itself; give --http-proxy none where https_proxy is "
        "meant for other programs");
  }
  return {};
}

void announce_proxies(const carrier::DialOptions& dial, const std::vector<RelayUrl>& relays) {
  for (const RelayUrl& relay : relays) {
    const auto* proxy = dial.proxies ? dial.proxies->choose(relay) : nullptr;
    if (proxy != nullptr) log::info("relay {}: through the HTTP proxy {}", relay.text(), proxy->text());
  }
}

}  // namespace zks::app
