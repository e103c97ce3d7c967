// SPDX-License-Identifier: MIT
//
// What -L and -R are given: where to listen, and where each connection is to go. Sans-IO. local_forward.hpp,
// local_udp_forward.hpp and remote_forward.hpp do it.
//
//   [BIND:]PORT:HOST:PORT[/tcp]     BIND is an IP address, IPv6 in brackets, "localhost" or "*"; without it
//                                   127.0.0.1. PORT 0 takes a free one. -L takes "localhost" and "*" for the
//                                   addresses of both families, -R for the IPv4 one: a listener at the exit
//                                   is one address
//   [BIND:]PORT:HOST:PORT/udp       the same for datagrams
//   /PATH:HOST:PORT                 -L: a unix socket here
//   [BIND:]PORT:/PATH               -R: to a unix socket here
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "session/frames.hpp"

namespace zks::frontdoor {

struct ForwardPlace {
  session::Destination address;
  std::string path;  // a unix socket, instead of an address
  // Where -L listens as well: the IPv6 address of a BIND that stands for both families.
  std::optional<session::Destination> also;

  bool is_unix() const { return !path.empty(); }
  friend bool operator==(const ForwardPlace&, const ForwardPlace&) = default;
};

struct ForwardSpec {
  session::ListenKind kind = session::ListenKind::kTcp;
  ForwardPlace listen;  // an address is never a name
  ForwardPlace target;

  friend bool operator==(const ForwardSpec&, const ForwardSpec&) = default;
};

// kUsage, saying what is wrong.
Result<ForwardSpec> parse_local_forward(std::string_view text);
Result<ForwardSpec> parse_remote_forward(std::string_view text);

// As it could have been given, for messages about the user's own options.
std::string to_text(const ForwardSpec& spec);
std::string to_text(const ForwardPlace& place);
// Whether the listening end is beyond loopback.
bool is_open_to_others(const ForwardPlace& place);

}  // namespace zks::frontdoor
