// SPDX-License-Identifier: MIT
//
// The DNS servers that this machine would use without the tunnel: the relay's name is asked of them, outside
// of it.
#pragma once

#include <string>
#include <vector>

#include "base/name_server.hpp"

namespace zks::host {

// True for 127.0.0.53 and 127.0.0.54, where systemd-resolved answers.
bool is_resolved_stub(const IpAddress& address);

// 127.0.0.0/8 and ::1: a forwarder of this machine, whose own queries are anybody's and go into the tunnel.
bool is_forwarder(const IpAddress& address);

// Where systemd-resolved and NetworkManager, for the dnsmasq that it starts, write which servers those ask.
inline const std::vector<std::string> kUplinkFiles = {"/run/systemd/resolve/resolv.conf",
                                                      "/run/NetworkManager/no-stub-resolv.conf"};

// The servers that `resolv_conf` names but for `ours`, the tunnel's own. Where there is a forwarder among
// them, the ones that the first of `uplinks` names, if any does; otherwise what there is, but for
// systemd-resolved's stub. Empty when nothing can be read.
std::vector<NameServer> outside_resolvers(const std::string& resolv_conf, const std::vector<IpAddress>& ours,
                                          const std::vector<std::string>& uplinks = kUplinkFiles);

}  // namespace zks::host
