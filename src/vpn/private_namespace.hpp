// SPDX-License-Identifier: MIT
//
// Where the kernel ends the connections of the TUN device: a network namespace of its own, in which every
// address is local. There is a second TUN device in it and a listener for each family, to which TPROXY
// (nf_tproxy) leads every connection, whatever its address and port; getsockname() of what it accepts says
// where the program wanted to go. Nothing else runs there, and no program of this machine can reach it.
#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"
#include "vpn/tun_device.hpp"

namespace zks::vpn {

struct PrivateNamespace {
  TunDevice device;
  Fd listener_ipv4;
  Fd listener_ipv6;
};

// Made by a child process, which hands the descriptors over and ends; they keep the namespace. To be called
// before this process has threads. kUsage, saying what to do, when the kernel lacks something.
Result<PrivateNamespace> make_private_namespace(unsigned mtu, bool offloads);

}  // namespace zks::vpn
