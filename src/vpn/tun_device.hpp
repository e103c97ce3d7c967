// SPDX-License-Identifier: MIT
//
// A TUN device: packets as files, with the virtio-net header before each (packet/offload.hpp), so that the
// kernel hands over and takes whole TCP segments of up to 64 KiB with their checksums not computed yet.
#pragma once

#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace zks::vpn {

// What one read gives and one write takes at most: header and the largest IP packet.
inline constexpr std::size_t kMaxFrameBytes = 10 + 65'535;

struct TunDevice {
  Fd fd;  // does not block; the device goes when it is closed
  std::string name;
  bool segments = false;   // the kernel took TCP segmentation offload
  bool datagrams = false;  // and that of UDP
};

// In the calling thread's network namespace. `name` may be a pattern, "zks%d". kUsage, saying what to do: not
// allowed, no such device here, the name is taken or none. The device is down and has no address yet. Without
// `offloads` every packet comes whole, at most as long as the MTU.
Result<TunDevice> open_tun(const std::string& name, bool offloads);
// The same, waiting for one that was killed a moment ago: the kernel takes the device away when all processes
// are through that have it.
Result<TunDevice> open_free_tun(const std::string& name, bool offloads);

}  // namespace zks::vpn
