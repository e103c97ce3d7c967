// SPDX-License-Identifier: MIT
//
// The TUN device as an interface of this machine: addresses, MTU, up and down.
#pragma once

#include <string>

#include "base/result.hpp"
#include "host/plan.hpp"

namespace zks::host {

// False where IPv6 is not in the kernel, or switched off for the device (sysctl disable_ipv6).
bool has_ipv6(const std::string& tun);

Result<> set_up_tun(const Plan& plan);

// Takes the device up again, with its MTU and addresses, if another program changed that. True if so. kClosed
// when the device with this index is gone, or has another name.
Result<bool> restore_tun(const Plan& plan, unsigned index);

// Takes the addresses away, and the device down: a connection that goes on after the tunnel would otherwise
// send from the tunnel's address out of another interface. Good when the device is gone.
Result<> take_down_tun(const std::string& tun);

}  // namespace zks::host
