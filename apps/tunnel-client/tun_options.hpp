// SPDX-License-Identifier: MIT
//
// The options of a front door for the whole machine: of vpn, and of p2p-client with --tun.
#pragma once

#include <string>
#include <vector>

#include "ops/options.hpp"
#include "options.hpp"

namespace zks::app {

// What is only checked when all options are known.
struct TunText {
  std::vector<std::string> routes;
  std::vector<std::string> excludes;
  std::vector<std::string> uids;
  std::string dns;
  std::size_t mtu = 0;
};

// --route, --exclude, --uid, --dns, --kill-switch, --stay-closed, --mtu, --no-offloads, --flow-timeout and
// --run-as.
void add_tun(CLI::App& app, TunOptions& options, TunText& text);
Result<> finish_tun(const TunText& text, TunOptions& options);

}  // namespace zks::app
