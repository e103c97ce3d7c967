// SPDX-License-Identifier: MIT
//
// The header of SOCKS5 datagrams: no input crashes the parser; what it takes has a usable address and a
// payload that is the rest of the input, and an answer from such an address gets the same header.
#include "frontdoor/socks5_udp.hpp"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using zks::session::Destination;
  const zks::ByteView input(data, size);
  const auto parsed = zks::frontdoor::parse_socks5_datagram(input);
  if (!parsed) return 0;
  const Destination& to = parsed->address;
  const std::size_t header = size - parsed->bytes.size();
  if (data[2] != 0 || to.port == 0 || header > zks::frontdoor::kMaxSocks5UdpHeader) std::abort();
  if (to.kind == Destination::Kind::kName) {
    if (to.name.empty() || to.name.size() > 255) std::abort();
    return 0;
  }
  zks::Bytes again(header);
  zks::ByteWriter out(again);
  if (!zks::frontdoor::write_socks5_udp_header(out, to) || out.written() != header) std::abort();
  if (!std::equal(again.begin() + 2, again.end(), data + 2)) std::abort();
  return 0;
}
