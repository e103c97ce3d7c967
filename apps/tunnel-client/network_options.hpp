// SPDX-License-Identifier: MIT
//
// How a relay is reached from a network that does not let everything out: --http-proxy,
// --http-proxy-user-file, --bind-interface, and the environment's proxies. Of every mode that dials.
#pragma once

#include <string>
#include <vector>

#include "ops/options.hpp"
#include "options.hpp"

namespace zks::app {

// What is only checked when all options are known.
struct NetworkText {
  std::string http_proxy;
  std::string http_proxy_user_file;
};

void add_network(CLI::App& app, CommonOptions& common, NetworkText& text);

// Fills in common.dial.proxies: --http-proxy for every relay, or for none with "none"; without it what
// https_proxy, http_proxy and no_proxy say. kUsage when one of them can't be used.
Result<> finish_network(const NetworkText& text, CommonOptions& common);

// kUsage when a relay would be reached through the proxy that this program itself is to be at `listen`: what
// an https_proxy for other programs leads to.
Result<> refuse_own_proxy(const carrier::DialOptions& dial, const std::vector<RelayUrl>& relays,
                          const net::Endpoints& listen);

// Says in the log which of `relays` are reached through a proxy.
void announce_proxies(const carrier::DialOptions& dial, const std::vector<RelayUrl>& relays);

}  // namespace zks::app
