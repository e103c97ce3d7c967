// SPDX-License-Identifier: MIT
//
// From the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), all entries, also those that are
// globally reachable: no user's target lives there. In IPv6 whatever is outside 2000::/3 is closed as well,
// since nothing there is assigned as global unicast (RFC 4291, section 2.4).
#include "exit/special_ranges.hpp"

#include <vector>

namespace zks::exit {
namespace {

struct SpecialRange {
  Prefix prefix;
  const char* name;
};

struct Row {
  const char* prefix;
  const char* name;
};

// The first match names the range, so the narrow ones come first.
constexpr Row kRows[] = {
    {"0.0.0.0/8", "this network, 0.0.0.0/8"},
    {"10.0.0.0/8", "private use, 10.0.0.0/8"},
    {"100.64.0.0/10", "carrier-grade NAT, 100.64.0.0/10"},
    {"127.0.0.0/8", "loopback, 127.0.0.0/8"},
    {"169.254.169.254/32", "cloud metadata, 169.254.169.254"},
    {"169.254.0.0/16", "link-local, 169.254.0.0/16"},
    {"172.16.0.0/12", "private use, 172.16.0.0/12"},
    {"192.0.0.0/24", "IETF protocol assignments, 192.0.0.0/24"},
    {"192.0.2.0/24", "documentation, 192.0.2.0/24"},
    {"192.31.196.0/24", "AS112, 192.31.196.0/24"},
    {"192.52.193.0/24", "AMT, 192.52.193.0/24"},
    {"192.88.99.0/24", "6to4 relay anycast, 192.88.99.0/24"},
    {"192.168.0.0/16", "private use, 192.168.0.0/16"},
    {"192.175.48.0/24", "AS112, 192.175.48.0/24"},
    {"198.18.0.0/15", "benchmarking, 198.18.0.0/15"},
    {"198.51.100.0/24", "documentation, 198.51.100.0/24"},
    {"203.0.113.0/24", "documentation, 203.0.113.0/24"},
    {"224.0.0.0/4", "multicast, 224.0.0.0/4"},
    {"255.255.255.255/32", "limited broadcast, 255.255.255.255"},
    {"240.0.0.0/4", "reserved, 240.0.0.0/4"},
    // Not in the registry, and public by its number, but answered by the hypervisor: keys and certificates.
    {"168.63.129.16/32", "cloud metadata, 168.63.129.16"},

    {"::/128", "unspecified, ::"},
    {"::1/128", "loopback, ::1"},
    {"::/96", "IPv4-compatible, ::/96"},
    {"::ffff:0:0/96", "IPv4-mapped, ::ffff:0:0/96"},
    {"::ffff:0:0:0/96", "IPv4-translated, ::ffff:0:0:0/96"},
    {"64:ff9b::/96", "NAT64, 64:ff9b::/96"},
    {"64:ff9b:1::/48", "local NAT64, 64:ff9b:1::/48"},
    {"100::/64", "discard only, 100::/64"},
    {"100:0:0:1::/64", "dummy prefix, 100:0:0:1::/64"},
    {"2001::/32", "Teredo, 2001::/32"},
    {"2001:2::/48", "benchmarking, 2001:2::/48"},
    {"2001:10::/28", "ORCHID, 2001:10::/28"},
    {"2001:20::/28", "ORCHIDv2, 2001:20::/28"},
    {"2001::/23", "IETF protocol assignments, 2001::/23"},
    {"2001:db8::/32", "documentation, 2001:db8::/32"},
    {"2002::/16", "6to4, 2002::/16"},
    {"2620:4f:8000::/48", "AS112, 2620:4f:8000::/48"},
    {"3fff::/20", "documentation, 3fff::/20"},
    {"5f00::/16", "segment routing SIDs, 5f00::/16"},
    {"fd00:ec2::254/128", "cloud metadata, fd00:ec2::254"},
    {"fc00::/7", "unique local, fc00::/7"},
    {"fe80::/10", "link-local, fe80::/10"},
    {"fec0::/10", "site-local, fec0::/10"},
    {"ff00::/8", "multicast, ff00::/8"},
};

std::vector<SpecialRange> parse_rows() {
  std::vector<SpecialRange> out;
  out.reserve(std::size(kRows));
  for (const Row& row : kRows) out.push_back({parse_prefix(row.prefix).value(), row.name});
  return out;
}

}  // namespace

const char* special_range(const IpAddress& address) {
  static const std::vector<SpecialRange> ranges = parse_rows();
  for (const SpecialRange& range : ranges) {
    if (range.prefix.contains(address)) return range.name;
  }
  constexpr std::uint8_t kGlobalUnicastTopBits = 0x20;  // 2000::/3
  if (!address.is_ipv4() && (address.bytes[0] & 0xe0) != kGlobalUnicastTopBits) {
    return "not global unicast, outside 2000::/3";
  }
  return nullptr;
}

}  // namespace zks::exit
