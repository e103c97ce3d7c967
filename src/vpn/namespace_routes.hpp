// SPDX-License-Identifier: MIT
#pragma once

#include "base/result.hpp"

namespace zks::vpn {

// In the calling thread's network namespace, for both families: what is marked (1) is local, by a table of
// its own, and everything else leaves by the device with the index `device`. kIo.
Result<> route_everything_here(unsigned device, unsigned loopback);

}  // namespace zks::vpn
