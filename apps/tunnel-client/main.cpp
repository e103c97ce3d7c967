// SPDX-License-Identifier: MIT
//
// zks-tunnel-client: finds the mode that the first word names and hands it the rest.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "hide_secrets.hpp"
#include "ops/run_main.hpp"
#include "vpn/name_process.hpp"

namespace {

struct Mode {
  std::string_view name;
  const char* purpose;
  int (*run)(int argc, const char* const* argv);
};

constexpr Mode kModes[] = {
    {"socks5", "SOCKS5 and HTTP proxy whose connections leave through an exit peer",
     zks::app::socks5_command},
    {"vpn", "the whole machine through an exit peer: a TUN device, routes, DNS, a kill switch",
     zks::app::vpn_command},
    {"p2p-client", "a session with any front doors: proxy, -L and -R forwards", zks::app::p2p_client_command},
    {"exit-peer", "let the holders of your invites reach the internet from here",
     zks::app::exit_peer_command},
    {"invite", "make an access link for a user of this exit", zks::app::invite_command},
    {"limit", "change what a user may reach and use", zks::app::limit_command},
    {"revoke", "end a user's access", zks::app::revoke_command},
    {"invites", "list the users of this exit", zks::app::invites_command},
    {"check", "try a link step by step and say what works and what fails", zks::app::check_command},
    {"status", "how a running client or exit peer is doing", zks::app::status_command},
    {"demo", "relay, exit peer and proxy in one process, to try it out", zks::app::demo_command},
};
constexpr int kWrongUsage = 2;

int print_help() {
  std::printf(
      "Reach the internet through a machine of your own. All that the network in between sees is an "
      "encrypted\n"
      "WebSocket connection to a relay, which can't read it.\n\n"
      "Usage: zks-tunnel-client MODE [OPTIONS]\n\nModes:\n");
  for (const Mode& mode : kModes) std::printf("  %-12s%s\n", mode.name.data(), mode.purpose);
  std::printf(
      "\n'zks-tunnel-client MODE --help' has the options of a mode, their defaults and an example.\n\n"
      "Try it:    zks-tunnel-client demo\n"
      "For real:  zks-tunnel-client exit-peer --relay wss://relay.example    (at home; prints an access "
      "link)\n"
      "           zks-tunnel-client socks5 --link-file home.link             (anywhere)\n");
  return std::fflush(stdout) == 0 ? 0 : 1;
}

int wrong_usage(const char* what) {
  std::string names;
  for (const Mode& mode : kModes) names.append(names.empty() ? "" : ", ").append(mode.name);
  std::fprintf(stderr, "zks-tunnel-client: %s; it is one of %s; try 'zks-tunnel-client --help'\n", what,
               names.c_str());
  return kWrongUsage;
}

int run_mode(int argc, char** argv) {
  if (argc < 2) return wrong_usage("the mode is missing");
  // The modes read a copy, so that secrets can be taken out of the memory that process lists show.
  const std::vector<std::string> copies(argv + 1, argv + argc);
  zks::app::hide_secrets(argc, argv);
  std::vector<const char*> arguments;
  for (const std::string& copy : copies) arguments.push_back(copy.c_str());

  const std::string_view name = copies.front();
  if (name == "--help" || name == "-h") return print_help();
  if (name == "--version") {
    std::printf("zks-tunnel-client %s\n", ZKS_VERSION);
    return std::fflush(stdout) == 0 ? 0 : 1;
  }
  if (name == zks::vpn::kNameMode) return zks::vpn::run_name_process(copies.back());
  for (const Mode& mode : kModes) {
    if (mode.name == name) return mode.run(static_cast<int>(arguments.size()), arguments.data());
  }
  return wrong_usage("there is no such mode");
}

}  // namespace

int main(int argc, char** argv) {
  return zks::ops::run_main(run_mode, argc, argv);
}
