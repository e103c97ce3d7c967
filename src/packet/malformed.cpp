// SPDX-License-Identifier: MIT
#include "packet/malformed.hpp"

#include <stdexcept>

namespace zks::packet {

const char* describe(Malformed reason) {
  switch (reason) {
    case Malformed::kCutShort:
      return "cut short";
    case Malformed::kVersion:
      return "not IPv4 or IPv6";
    case Malformed::kHeaderLength:
      return "impossible IP header length";
    case Malformed::kTotalLength:
      return "impossible total length";
    case Malformed::kHeaderChecksum:
      return "wrong IPv4 header checksum";
    case Malformed::kExtensionHeader:
      return "bad IPv6 extension header";
    case Malformed::kSourceRoute:
      return "source route";
    case Malformed::kFragmentSize:
      return "impossible fragment";
    case Malformed::kFragment:
      return "fragment of a packet";
    case Malformed::kOffload:
      return "offloads that do not fit the packet";
    case Malformed::kProtocol:
      return "other protocol";
    case Malformed::kTcpHeader:
      return "bad TCP header";
    case Malformed::kUdpLength:
      return "impossible UDP length";
    case Malformed::kUdpChecksum:
      return "wrong UDP checksum";
    case Malformed::kIcmpHeader:
      return "ICMP cut short";
    case Malformed::kIcmpChecksum:
      return "wrong ICMP checksum";
    case Malformed::kNotEcho:
      return "ICMP, but no echo request";
  }
  return "unknown";
}

void throw_exception_from_error(Malformed reason, const boost::source_location&) {
  throw std::logic_error(describe(reason));
}

}  // namespace zks::packet
