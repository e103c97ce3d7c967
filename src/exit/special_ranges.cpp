// SPDX-License-Identifier: MIT
//
// From the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190), all entries, also
// those that are globally reachable: no user's target lives there. Beside each row stands who assigned it. In
// IPv6 whatever is outside 2000::/3 is closed as well, since nothing there is assigned as global unicast (RFC
// 4291, section 2.4).
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
    // --- IPv4
    {"0.0.0.0/8", "this network, 0.0.0.0/8"},                      // RFC 791, section 3.2
    {"10.0.0.0/8", "private use, 10.0.0.0/8"},                     // RFC 1918
    {"100.64.0.0/10", "carrier-grade NAT, 100.64.0.0/10"},         // RFC 6598
    {"127.0.0.0/8", "loopback, 127.0.0.0/8"},                      // RFC 1122, section 3.2.1.3
    {"169.254.169.254/32", "cloud metadata, 169.254.169.254"},     // in RFC 3927's range
    {"169.254.0.0/16", "link-local, 169.254.0.0/16"},              // RFC 3927
    {"172.16.0.0/12", "private use, 172.16.0.0/12"},               // RFC 1918
    {"192.0.0.0/24", "IETF protocol assignments, 192.0.0.0/24"},   // RFC 6890; 7335, 7600, 7723, 8155, 7050
    {"192.0.2.0/24", "documentation, 192.0.2.0/24"},               // RFC 5737
    {"192.31.196.0/24", "AS112, 192.31.196.0/24"},                 // RFC 7535
    {"192.52.193.0/24", "AMT, 192.52.193.0/24"},                   // RFC 7450
    {"192.88.99.0/24", "6to4 relay anycast, 192.88.99.0/24"},      // RFC 7526, and RFC 6751 in it
    {"192.168.0.0/16", "private use, 192.168.0.0/16"},             // RFC 1918
    {"192.175.48.0/24", "AS112, 192.175.48.0/24"},                 // RFC 7534
    {"198.18.0.0/15", "benchmarking, 198.18.0.0/15"},              // RFC 2544
    {"198.51.100.0/24", "documentation, 198.51.100.0/24"},         // RFC 5737
    {"203.0.113.0/24", "documentation, 203.0.113.0/24"},           // RFC 5737
    {"224.0.0.0/4", "multicast, 224.0.0.0/4"},                     // RFC 5771
    {"255.255.255.255/32", "limited broadcast, 255.255.255.255"},  // RFC 919, section 7
    {"240.0.0.0/4", "reserved, 240.0.0.0/4"},                      // RFC 1112, section 4
    // Not in the registry, and public by its number, but answered by the hypervisor: keys and certificates.
    {"168.63.129.16/32", "cloud metadata, 168.63.129.16"},  // Azure's documentation

    // --- IPv6
    {"::/128", "unspecified, ::"},                            // RFC 4291, section 2.5.2
    {"::1/128", "loopback, ::1"},                             // RFC 4291, section 2.5.3
    {"::/96", "IPv4-compatible, ::/96"},                      // RFC 4291, section 2.5.5.1
    {"::ffff:0:0/96", "IPv4-mapped, ::ffff:0:0/96"},          // RFC 4291, section 2.5.5.2
    {"::ffff:0:0:0/96", "IPv4-translated, ::ffff:0:0:0/96"},  // RFC 2765, section 2.1
    {"64:ff9b::/96", "NAT64, 64:ff9b::/96"},                  // RFC 6052
    {"64:ff9b:1::/48", "local NAT64, 64:ff9b:1::/48"},        // RFC 8215
    {"100::/64", "discard only, 100::/64"},                   // RFC 6666
    {"100:0:0:1::/64", "dummy prefix, 100:0:0:1::/64"},       // RFC 9780
    {"2001::/32", "Teredo, 2001::/32"},                       // RFC 4380, RFC 8190
    {"2001:1::/32", "protocol anycast, 2001:1::/32"},         // RFC 7723, 8155, 9665 have one each
    {"2001:2::/48", "benchmarking, 2001:2::/48"},             // RFC 5180, RFC Errata 1752
    {"2001:3::/32", "AMT, 2001:3::/32"},                      // RFC 7450
    {"2001:4:112::/48", "AS112, 2001:4:112::/48"},            // RFC 7535
    {"2001:10::/28", "ORCHID, 2001:10::/28"},                 // RFC 4843
    {"2001:20::/28", "ORCHIDv2, 2001:20::/28"},               // RFC 7343
    {"2001:30::/28", "drone entity tags, 2001:30::/28"},      // RFC 9374
    {"2001::/23", "IETF protocol assignments, 2001::/23"},    // RFC 2928
    {"2001:db8::/32", "documentation, 2001:db8::/32"},        // RFC 3849
    {"2002::/16", "6to4, 2002::/16"},                         // RFC 3056
    {"2620:4f:8000::/48", "AS112, 2620:4f:8000::/48"},        // RFC 7534
    {"3fff::/20", "documentation, 3fff::/20"},                // RFC 9637
    {"5f00::/16", "segment routing SIDs, 5f00::/16"},         // RFC 9602
    {"fd00:ec2::254/128", "cloud metadata, fd00:ec2::254"},   // in RFC 4193's range
    {"fc00::/7", "unique local, fc00::/7"},                   // RFC 4193
    {"fe80::/10", "link-local, fe80::/10"},                   // RFC 4291, section 2.5.6
    {"fec0::/10", "site-local, fec0::/10"},                   // RFC 3879
    {"ff00::/8", "multicast, ff00::/8"},                      // RFC 4291, section 2.7
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
