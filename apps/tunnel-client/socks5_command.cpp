// SPDX-License-Identifier: MIT
//
// The command lines of socks5 and p2p-client: the same doors, but socks5 always has a proxy.
#include "commands.hpp"
#include "common_options.hpp"
#include "enter_tun.hpp"
#include "link_source.hpp"
#include "modes.hpp"
#include "network_options.hpp"
#include "tun_options.hpp"

namespace zks::app {
namespace {

// p2p-client's --tun and what belongs to it.
struct TunDoor {
  TunOptions options;
  TunText text;

  void add(CLI::App& app) {
    app.add_option("--tun", options.plan.tun,
                   "send all that this machine sends through the tunnel, by a TUN device of this name; as "
                   "root, see 'vpn --help' [off]")
        ->type_name("NAME");
    add_tun(app, options, text);
  }
};

int read_and_run(ops::CommandLine& line, const char* mode, const char* listen_option, bool always_proxy,
                 int argc, const char* const* argv) {
  Socks5Options options;
  options.mode = mode;
  LinkText link_text;
  ProxyText proxy_text;
  add_link(line.app(), link_text);
  add_proxy(line.app(), listen_option, options.proxy, proxy_text);
  add_lanes(line.app(), options.proxy);
  TunDoor tun;
  if (!always_proxy) tun.add(line.app());
  add_forwards(line.app(), options.forwards);
  add_common(line.app(), options.common);
  add_watching(line.app(), options.watch);
  NetworkText network;
  add_network(line.app(), options.common, network);
  line.add_log_options();
  if (const auto status = line.parse(argc, argv)) return *status;
  if (auto done = finish_network(network, options.common); !done) return line.fail(done.error());

  options.proxy.wanted = always_proxy || line.app().get_option(listen_option)->count() > 0;
  if (!tun.options.plan.tun.empty()) {
    if (auto done = finish_tun(tun.text, tun.options); !done) return line.fail(done.error());
    options.tun = std::move(tun.options);
  }
  const bool forwards = !options.forwards.local.empty() || !options.forwards.remote.empty();
  if (!options.proxy.wanted && !forwards && !options.tun) {
    return line.fail(make_error(ErrorKind::kUsage, "nothing to do: give --socks, --tun, -L or -R"));
  }
  const Result<> proxy = finish_proxy(proxy_text, options.proxy);
  if (!proxy) return line.fail(proxy.error());
  Result<link::AccessLink> link = find_link(link_text.argument, link_text.file);
  if (!link) return line.fail(link.error());
  options.link = std::move(*link);
  if (options.tun) return run_with_tun(line, std::move(options));
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
  return read_and_run(line, "socks5", "--listen", true, argc, argv);
}

int p2p_client_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client p2p-client",
      "One session with an exit peer of your own and any of these front doors: a SOCKS5 and HTTP proxy "
      "(--socks), ports here that lead to one place behind the exit (-L), and ports at the exit that lead to "
      "one place here (-R), or the whole machine (--tun).",
      "Example:\n"
      "  zks-tunnel-client p2p-client --link-file ~/home.link --socks 127.0.0.1:1080 \\\n"
      "    -L 5432:db.home.example:5432 -R 8080:127.0.0.1:3000\n"
      "  psql -h 127.0.0.1                    # the database behind the exit\n"
      "  curl http://127.0.0.1:8080/          # on the exit's machine: the server on port 3000 here");
  return read_and_run(line, "p2p-client", "--socks", false, argc, argv);
}

}  // namespace zks::app
