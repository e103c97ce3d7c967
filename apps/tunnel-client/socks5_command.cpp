// SPDX-License-Identifier: MIT
//
// The command lines of socks5 and p2p-client, which differ in the name of one option.
#include "commands.hpp"
#include "common_options.hpp"
#include "link_source.hpp"
#include "modes.hpp"
#include "network_options.hpp"

namespace zks::app {
namespace {

int read_and_run(ops::CommandLine& line, const char* mode, const char* listen_option, bool listen_required,
                 int argc, const char* const* argv) {
  Socks5Options options;
  options.mode = mode;
  LinkText link_text;
  ProxyText proxy_text;
  add_link(line.app(), link_text);
  add_proxy(line.app(), listen_option, options.proxy, proxy_text);
  line.app().get_option(listen_option)->required(listen_required);
  add_common(line.app(), options.common);
  add_watching(line.app(), options.watch);
  NetworkText network;
  add_network(line.app(), options.common, network);
  line.add_log_options();
  if (const auto status = line.parse(argc, argv)) return *status;
  if (auto done = finish_network(network, options.common); !done) return line.fail(done.error());

  const Result<> proxy = finish_proxy(proxy_text, options.proxy);
  if (!proxy) return line.fail(proxy.error());
  Result<link::AccessLink> link = find_link(link_text.argument, link_text.file);
  if (!link) return line.fail(link.error());
  options.link = std::move(*link);
  const Result<> ended = run_socks5(std::move(options));
  return ended ? 0 : line.fail(ended.error());
}

}  // namespace

int socks5_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client socks5",
      "A proxy on this machine, whose connections leave through the exit peer of an access link. On one "
      "port it speaks SOCKS5, SOCKS4a and HTTP (CONNECT, and http:// requests), and serves the PAC file "
      "/proxy.pac. Names are resolved at the exit.",
      "Example:\n"
      "  zks-tunnel-client socks5 --link-file ~/home.link\n"
      "  curl --socks5-hostname 127.0.0.1:1080 https://example.org/\n"
      "  curl --proxy http://127.0.0.1:1080 https://example.org/");
  return read_and_run(line, "socks5", "--listen", false, argc, argv);
}

int p2p_client_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client p2p-client",
      "Reach an exit peer of your own: here through a SOCKS5 and HTTP proxy at the address of --socks.",
      "Example:\n"
      "  zks-tunnel-client p2p-client --link-file ~/home.link --socks 127.0.0.1:1080\n"
      "  curl --socks5-hostname 127.0.0.1:1080 https://example.org/");
  return read_and_run(line, "p2p-client", "--socks", true, argc, argv);
}

}  // namespace zks::app
