// SPDX-License-Identifier: MIT
//
// What each running mode is told: the command line after it was checked (NAME_command.cpp), before it is run
// (modes.hpp). Whatever stands here is valid; no mode parses text again.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/names.hpp"
#include "base/relay_url.hpp"
#include "carrier/dial.hpp"
#include "exit/listen_rules.hpp"
#include "exit/policy.hpp"
#include "frontdoor/credentials.hpp"
#include "frontdoor/forward_spec.hpp"
#include "host/plan.hpp"
#include "link/access_link.hpp"
#include "net/listen.hpp"

namespace zks::vpn {
struct Worker;
}

namespace zks::app {

// Of every mode that dials a relay.
struct CommonOptions {
  std::filesystem::path state_dir;
  carrier::DialOptions dial;  // --relay-ca, --sni, --header, --http-proxy; the pin is for the mode to set
  std::chrono::seconds reconnect_max{15};
  std::filesystem::path ready_file;  // empty: none
};

// How a running mode lets others see how it is doing.
struct WatchOptions {
  std::string control;                    // a path, "none", or empty: in the state directory
  std::optional<net::Endpoints> metrics;  // none: off
};

// A local proxy. Without credentials its address is a loopback one.
struct ProxyOptions {
  std::chrono::seconds renew_after{3'600};  // a lane gets a successor after this time
  std::uint64_t renew_bytes = 64ULL << 30;  // or this many bytes
  std::size_t lanes = 1;                    // at once
  bool once = false;                        // end instead of waiting for relay and exit
  bool wanted = true;                       // false: no proxy, and no meaning in what follows
  net::Endpoints listen;
  std::shared_ptr<const frontdoor::Credentials> credentials;  // null: none are asked for
};

struct ForwardOptions {
  std::vector<frontdoor::ForwardSpec> local;
  std::vector<frontdoor::ForwardSpec> remote;
};

// A front door for the whole machine.
struct TunOptions {
  host::Plan plan;
  std::string user = "nobody";  // the worker's (vpn/supervisor.hpp)
  bool offloads = true;
  bool stay_closed = false;  // also when there never was a session
  std::chrono::seconds flow_timeout{120};
};

// socks5, vpn and p2p-client: a session with any of these doors, at least one.
struct Socks5Options {
  CommonOptions common;
  std::string mode = "socks5";  // the name that the user gave it
  WatchOptions watch;
  link::AccessLink link;
  ProxyOptions proxy;
  ForwardOptions forwards;
  std::optional<TunOptions> tun;
  std::shared_ptr<vpn::Worker> worker;                   // with `tun`, once this process is it
  std::optional<std::chrono::microseconds> alive_every;  // the worker tells its parent; none: it need not
};

struct ExitPeerOptions {
  CommonOptions common;
  WatchOptions watch;
  std::vector<RelayUrl> relays;  // empty: those in the state directory; otherwise alike in scheme and prefix
  std::optional<Digest> relay_pin;  // only with `relays`
  std::vector<exit::Rule> allow;
  std::vector<exit::Rule> deny;
  std::vector<exit::ListenRule> allow_listen;
  std::vector<std::string> resolvers;  // "ADDR:PORT", IPv6 in brackets; none: the system's
  std::filesystem::path link_file;     // empty: none
  std::size_t max_streams = 2048;      // of one session (PROTOCOL.md, "Streams")
  std::size_t max_flows = 1024;        // of one session (PROTOCOL.md, "Flows")
  std::chrono::seconds flow_timeout{120};
  std::size_t max_sessions = 128;
  std::chrono::seconds orphan_timeout{120};
  std::chrono::seconds control_refresh{0};  // 0: control sockets stay until they are lost
  bool log_destinations = false;
};

struct CheckOptions {
  CommonOptions common;
  link::AccessLink link;
};

struct DemoOptions {
  ProxyOptions proxy;
  std::filesystem::path ready_file;
};

}  // namespace zks::app
