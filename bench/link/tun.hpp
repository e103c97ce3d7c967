// SPDX-License-Identifier: MIT
//
// A link's end: a TUN device in a network namespace. Packets are plain, without the offloads that would make
// them larger than a wire's.
#pragma once

#include <optional>
#include <string>

#include "base/fd.hpp"
#include "link/way.hpp"

namespace zks::bench {

struct TunName {
  std::string network_namespace;  // as `ip netns` names it; empty: the one this process began in
  std::string device;
};

class Tun {
 public:
  // Makes the device, of 1500 bytes and down: addresses and `up` are the caller's to give. It goes away with
  // this object. The calling thread is in the namespace for a moment, so all of a process's are made before
  // threads begin. std::system_error when one of both can't be had.
  explicit Tun(const TunName& name);

  int fd() const { return fd_.get(); }
  // The next packet that the namespace has sent; nullopt when there is none now. std::system_error
  // when the device is gone.
  std::optional<Packet> read();
  // False when the device is down or full.
  bool write(const Packet& packet);

 private:
  Fd fd_;
};

}  // namespace zks::bench
