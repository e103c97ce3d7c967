// SPDX-License-Identifier: MIT
//
// The datagrams of a UDP packet with GSO (USO, VirtioHeader::Gso::kUdpL4): gso_size bytes each, the last one
// what is left.
#pragma once

#include <algorithm>

#include "packet/transport.hpp"

namespace zks::packet {

class UdpSegments {
 public:
  // `data` of parse_udp(), which must outlive it; `offload` has passed check(). Without GSO it is one
  // datagram, which may be empty.
  UdpSegments(ByteView data, const VirtioHeader& offload)
      : rest_(data),
        size_(offload.gso() == VirtioHeader::Gso::kUdpL4 && offload.gso_size > 0 ? offload.gso_size
                                                                                 : kMaxPacket) {}

  std::optional<ByteView> next() {
    if (done_) return std::nullopt;
    const ByteView segment = rest_.first(std::min(size_, rest_.size()));
    rest_ = rest_.subspan(segment.size());
    done_ = rest_.empty();
    return segment;
  }

 private:
  ByteView rest_;
  std::size_t size_;
  bool done_ = false;
};

}  // namespace zks::packet
