// SPDX-License-Identifier: MIT
//
// What `vpn` is to change on this machine (host.hpp), as data: routing.cpp and firewall.cpp turn it into
// rules, routes and an nftables table. The numbers and names by which these are ours are here too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip_address.hpp"

namespace zks::host {

// SO_MARK of our own sockets, which go around the tunnel. Neither Kubernetes' bits (0x4000, 0x8000) nor those
// of Tailscale and Calico (0xffff0000) are in it.
inline constexpr std::uint32_t kMark = 0x2a53;
inline constexpr std::uint32_t kTable = 0x2a53;
// The first of our rules' priorities. Right behind `local` (0), where `wg-quick` and the kernel's own choice
// put rules too: another tunnel's rule in front of ours would take the traffic away.
inline constexpr std::uint32_t kRulePriority = 100;
// Who installed a rule or route (rtnetlink(7), rtm_protocol): 'Z', which iproute2 and FRR leave free. What
// carries it is ours to remove, with or without a journal.
inline constexpr std::uint8_t kProtocol = 90;
inline constexpr char kFirewallTable[] = "zks-vpn";

// Excludes and users are rules, which the kernel asks one after the other for each packet; routes it looks
// up.
inline constexpr std::size_t kMaxExcludes = 256;
inline constexpr std::size_t kMaxUidRanges = 64;
inline constexpr std::size_t kMaxRoutes = 4096;

struct UidRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;

  friend bool operator==(const UidRange&, const UidRange&) = default;
};

// Who may be a DHCP client: root and users of services (login.defs(5), SYS_UID_MAX). Its ports need not take
// a privilege (net.ipv4.ip_unprivileged_port_start).
inline constexpr UidRange kServices{0, 999};

struct Plan {
  std::string tun;  // a TUN device that exists; the caller's descriptor alone keeps it
  // This host's addresses on it, and where the tunnel answers DNS: of the ranges for benchmarks (RFC 2544,
  // RFC 5180), which no network uses and which, unlike a ULA, do not make glibc prefer IPv4.
  IpAddress tun_ipv4 = *parse_ip_address("198.18.0.1");
  IpAddress tun_ipv6 = *parse_ip_address("2001:2::1");
  IpAddress dns_ipv4 = *parse_ip_address("198.18.0.2");
  IpAddress dns_ipv6 = *parse_ip_address("2001:2::2");
  unsigned mtu = 1500;
  unsigned tx_queue_length = 1000;
  std::vector<Prefix> routes = {*parse_prefix("0.0.0.0/0"), *parse_prefix("::/0")};  // what the tunnel takes
  std::vector<Prefix> excludes = {};  // what it never takes, and the kill switch lets out
  std::vector<UidRange> uids = {};    // whose traffic; empty: everybody's, and what this machine forwards
  bool kill_switch = true;
  bool dns = true;
  // systemd-resolved's, where it runs here and all names are the tunnel's: its queries leave by the tunnel
  // alone.
  std::optional<std::uint32_t> resolved_uid = {};
  std::string resolv_conf = "/etc/resolv.conf";
};

// Where our marked sockets may go.
struct RelayEndpoint {
  IpAddress address;
  std::uint16_t port = 0;
  bool udp = false;  // a DNS server outside, which the relay's name is asked of; else TCP

  friend bool operator==(const RelayEndpoint&, const RelayEndpoint&) = default;
};

}  // namespace zks::host
