// SPDX-License-Identifier: MIT
//
// The command line of vpn, and what comes before a TUN device can be a front door: the process splits, and
// the half that goes on is the one without rights.
#include <unistd.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "enter_tun.hpp"
#include "link_source.hpp"
#include "modes.hpp"
#include "network_options.hpp"
#include "tun_options.hpp"
#include "vpn/supervisor.hpp"

namespace zks::app {
namespace {

int take_down(const ops::CommandLine& line, const CommonOptions& common) {
  const auto done = vpn::take_down(host::journal_directory(), common.state_dir);
  if (!done) return line.fail(done.error());
  std::fprintf(stderr, "%s\n",
               *done ? "what a vpn had left on this machine is undone"
                     : "there was nothing to undo in this network namespace");
  return 0;
}

}  // namespace

int vpn_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client vpn",
      "Sends everything that this machine sends through the exit peer of an access link: TCP, UDP, ping and "
      "name service, IPv4 and IPv6. Runs as root; the process that talks to the network has no rights. What "
      "is changed (a TUN device, routes and rules, an nftables table, resolv.conf) is undone when it is "
      "told to end.",
      "Example:\n"
      "  sudo zks-tunnel-client vpn --link-file home.link --exclude 192.168.0.0/16\n"
      "  curl https://example.org/            # leaves at the exit\n"
      "  sudo zks-tunnel-client vpn --down    # after a crash: opens what the kill switch keeps closed");
  Socks5Options options;
  options.mode = "vpn";
  options.proxy.wanted = false;
  options.tun.emplace().plan.tun = "zks0";
  LinkText link_text;
  TunText tun_text;
  bool down = false;
  line.app().add_flag("--down", down, "undo what a vpn that is not running any more has left, and end");
  add_link(line.app(), link_text);
  line.app()
      .add_option("--tun", options.tun->plan.tun, "name of the TUN device")
      ->type_name("NAME")
      ->default_str(options.tun->plan.tun);
  add_tun(line.app(), *options.tun, tun_text);
  add_lanes(line.app(), options.proxy);
  add_common(line.app(), options.common);
  add_watching(line.app(), options.watch);
  NetworkText network;
  add_network(line.app(), options.common, network);
  line.add_log_options();
  if (const auto status = line.parse(argc, argv)) return *status;
  if (down) return take_down(line, options.common);
  if (auto done = finish_network(network, options.common); !done) return line.fail(done.error());
  if (auto done = finish_tun(tun_text, *options.tun); !done) return line.fail(done.error());
  auto link = find_link(link_text.argument, link_text.file);
  if (!link) return line.fail(link.error());
  options.link = std::move(*link);
  return run_with_tun(line, std::move(options));
}

}  // namespace zks::app
