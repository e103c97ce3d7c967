// SPDX-License-Identifier: MIT
//
// The command line of exit-peer.
#include "base/port.hpp"
#include "base/usage_error.hpp"
#include "commands.hpp"
#include "common_options.hpp"
#include "modes.hpp"
#include "network_options.hpp"

namespace zks::app {
namespace {

constexpr std::uint64_t kMostStreams = 2'048;  // their minimum credit fits the session's memory
constexpr std::uint64_t kMostSessions = 65'536;
constexpr std::uint64_t kMostFlows = 16'384;

Result<Digest> parse_pin(std::string_view text) {
  const auto pin = parse_name<sizeof(Digest)>(text);
  if (!pin) return usage_error("not 43 characters of base64url");
  return *pin;
}

Result<std::string> parse_resolver(std::string_view text) {
  const Result<HostPort> place = parse_host_port(text, kDnsPort);
  if (!place) return place.error();
  boost::system::error_code ec;
  boost::asio::ip::make_address(place->host, ec);
  if (ec || place->port == 0)
    return usage_error("not an IP address, as in 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53");
  return format_host_port(place->host, place->port);
}

void add_options(CLI::App& app, ExitPeerOptions& options) {
  ops::add_parsed_list<RelayUrl>(app, "--relay", options.relays, parse_relay_url,
                                 "relay to register with; repeatable; kept in the state directory for later "
                                 "starts once one took the room",
                                 "URL");
  ops::add_parsed<Digest>(
      app, "--relay-pin", options.relay_pin, parse_pin,
      "SHA-256 of the relay certificate's public key (SPKI), base64url, for a relay without a "
      "public certificate; goes into the links",
      "PIN");
  ops::add_parsed_list<exit::Rule>(
      app, "--allow", options.allow, exit::parse_rule,
      "let users reach this too: a network, a host, either with a port, or *:25 for a port alone; "
      "repeatable",
      "CIDR|HOST:PORT");
  ops::add_parsed_list<exit::Rule>(app, "--deny", options.deny, exit::parse_rule,
                                   "keep users from this; stronger than --allow; repeatable",
                                   "CIDR|HOST:PORT");
  ops::add_parsed_list<exit::ListenRule>(
      app, "--allow-listen", options.allow_listen, exit::parse_listen_rule,
      "let users have this port here for reverse forwards (-R), on loopback unless an address is named; "
      "repeatable; none by default",
      "[ADDR:]PORT[-PORT]");
  ops::add_parsed_list<std::string>(app, "--resolver", options.resolvers, parse_resolver,
                                    "DNS server to use instead of the system's; repeatable, in the order in "
                                    "which they are asked",
                                    "ADDR[:PORT]");
  const ops::Parser<std::filesystem::path> parse_path =
      [](std::string_view text) -> Result<std::filesystem::path> { return std::filesystem::path(text); };
  ops::add_parsed(app, "--link-file", options.link_file, parse_path,
                  "write the link of the invite named default here (0600), at every start", "FILE");
  ops::add_count(app, "--max-streams", options.max_streams, 1, kMostStreams,
                 "connections at once of one session");
  ops::add_count(app, "--max-flows", options.max_flows, 0, kMostFlows,
                 "UDP flows at once of one session, each with a socket or two; 0 lets no UDP through");
  ops::add_duration(app, "--flow-timeout", options.flow_timeout,
                    "how long a UDP flow is kept that its user sends nothing on");
  ops::add_count(app, "--max-sessions", options.max_sessions, 1, kMostSessions, "sessions at once");
  ops::add_duration(app, "--orphan-timeout", options.orphan_timeout,
                    "how long a session that lost its connection is kept, for its client to come back");
  ops::add_duration(app, "--control-refresh", options.control_refresh,
                    "register anew this often, new before old, for a relay behind a balancer that may send "
                    "the room elsewhere meanwhile; 0s: never");
  app.add_flag("--log-destinations", options.log_destinations,
               "log where users connect to; off for their sake");
}

constexpr const char* kPurpose =
    "Lets the holders of your access links reach the internet from this machine. It dials out to "
    "a relay, so it needs no open port. Loopback, private and the machine's own networks are "
    "closed to users unless --allow opens them, and so are the mail ports 25 and 465. The first start makes "
    "the "
    "keys and an invite named default, whose link it prints. SIGHUP reads the file of --config again: rules "
    "and "
    "limits count from then on.";
constexpr const char* kExamples =
    "Example:\n"
    "  zks-tunnel-client exit-peer --relay wss://relay.example --link-file ~/home.link\n"
    "  zks-tunnel-client exit-peer --allow 192.168.1.20:22 --deny '*.example.net' --deny '*:6667'\n"
    "  zks-tunnel-client invite alice --expires 30d";

// The status to end with when the command line or the file of --config is wrong, which was said then.
std::optional<int> read(ops::CommandLine& line, ExitPeerOptions& options, int argc, const char* const* argv) {
  add_options(line.app(), options);
  add_common(line.app(), options.common);
  add_watching(line.app(), options.watch);
  NetworkText network;
  add_network(line.app(), options.common, network);
  line.add_log_options();
  if (const auto status = line.parse(argc, argv)) return status;
  if (auto done = finish_network(network, options.common); !done) return line.fail(done.error());
  if (options.relay_pin && options.relays.empty()) {
    return line.fail(
        usage_error("--relay-pin belongs to --relay: give both, or neither to use those of the last start"));
  }
  return std::nullopt;
}

}  // namespace

int exit_peer_command(int argc, const char* const* argv) {
  ops::CommandLine line("zks-tunnel-client exit-peer", kPurpose, kExamples);
  ExitPeerOptions options;
  if (const auto status = read(line, options, argc, argv)) return *status;
  ReadAgain read_again;
  if (line.has_config_file()) {
    read_again = [argc, argv]() -> std::optional<ExitPeerOptions> {
      ops::CommandLine again("zks-tunnel-client exit-peer", kPurpose, kExamples);
      ExitPeerOptions changed;
      if (read(again, changed, argc, argv)) return std::nullopt;
      return changed;
    };
  }
  const Result<> ended = run_exit_peer(std::move(options), read_again);
  return ended ? 0 : line.fail(ended.error());
}

}  // namespace zks::app
