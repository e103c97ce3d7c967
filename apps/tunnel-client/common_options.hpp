// SPDX-License-Identifier: MIT
//
// Options that several modes have, so that they are spelled, checked and explained the same everywhere.
#pragma once

#include <string>

#include "ops/options.hpp"
#include "options.hpp"

namespace zks::app {

// What is only checked when all options are known.
struct LinkText {
  std::string argument;
  std::string file;
};
struct ProxyText {
  std::string user;
  std::string user_file;
};

void add_state_dir(CLI::App& app, std::filesystem::path& state_dir);
void add_ready_file(CLI::App& app, std::filesystem::path& ready_file);
// --state-dir, --relay-ca, --sni, --header, --reconnect-max, --ready-file.
void add_common(CLI::App& app, CommonOptions& common);
// --control and --metrics.
void add_watching(CLI::App& app, WatchOptions& options);
// LINK and --link-file.
void add_link(CLI::App& app, LinkText& link);
// --lanes, --renew-after and --renew-bytes.
void add_lanes(CLI::App& app, ProxyOptions& proxy);
// The proxy's address under `name`, --user and --user-file.
void add_proxy(CLI::App& app, const std::string& name, ProxyOptions& proxy, ProxyText& text);

// -L and -R.
void add_forwards(CLI::App& app, ForwardOptions& forwards);

// Fills in proxy.credentials. kUsage when both options are given, or neither although the address is not
// loopback.
Result<> finish_proxy(const ProxyText& text, ProxyOptions& proxy);

// 'Name: value' (RFC 9110, section 5.5), except for headers that the WebSocket upgrade sets itself.
Result<std::pair<std::string, std::string>> parse_header(std::string_view text);
// ADDR[:PORT] with a numeric address or "localhost"; 1080 without a port.
Result<boost::asio::ip::tcp::endpoint> parse_listen(std::string_view text);

}  // namespace zks::app
