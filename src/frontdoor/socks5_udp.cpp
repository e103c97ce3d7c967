// SPDX-License-Identifier: MIT
#include "frontdoor/socks5_udp.hpp"

#include <algorithm>

namespace zks::frontdoor {
namespace {

using session::Destination;

// The reserved bytes are zero by the RFC; a client that breaks that is served like others do.
bool read_start(ByteReader& in) {
  const auto start = in.array<3>();
  return start && (*start)[2] == 0;
}

bool read_host(ByteReader& in, Destination& to) {
  const auto type = in.u8();
  if (!type) return false;
  to.kind = static_cast<Destination::Kind>(*type);
  switch (to.kind) {
    case Destination::Kind::kIpv4:
    case Destination::Kind::kIpv6: {
      const auto address = in.take(to.kind == Destination::Kind::kIpv4 ? 4 : 16);
      if (!address) return false;
      std::copy(address->begin(), address->end(), to.address.begin());
      return true;
    }
    case Destination::Kind::kName: {
      const auto length = in.u8();
      const auto name = length ? in.take(*length) : std::nullopt;
      if (!name || name->empty()) return false;
      to.name = std::string(as_text(*name));
      return to.name.find('\0') == std::string::npos;
    }
  }
  return false;
}

}  // namespace

std::optional<Socks5Datagram> parse_socks5_datagram(ByteView received) {
  ByteReader in(received);
  Socks5Datagram out;
  if (!read_start(in) || !read_host(in, out.address)) return std::nullopt;
  const auto port = in.u16();
  if (!port || *port == 0) return std::nullopt;
  out.address.port = *port;
  out.bytes = in.rest();
  return out;
}

bool write_socks5_udp_header(ByteWriter& out, const Destination& source) {
  const bool ipv6 = source.kind == Destination::Kind::kIpv6;
  const std::size_t size = ipv6 ? 16 : 4;
  if (source.kind == Destination::Kind::kName || out.room() < 4 + size + 2) return false;
  return out.u16(0) && out.u8(0) && out.u8(static_cast<std::uint8_t>(source.kind)) &&
         out.bytes(ByteView(source.address).first(size)) && out.u16(source.port);
}

}  // namespace zks::frontdoor
