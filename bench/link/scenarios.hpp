// SPDX-License-Identifier: MIT
//
// The links that figures are told of by name. `up` leads away from the user, `down` to him.
#pragma once

#include <map>
#include <string>

#include "link/way.hpp"

namespace zks::bench {

struct LinkOptions {
  WayOptions up;
  WayOptions down;
};

// lan, home, far, far-lossless, bad. A round trip is halved: each way has the same delay. Queues hold about
// what the rate moves in one round trip, as routers' do, and no less than a burst of 64 KiB.
const std::map<std::string, LinkOptions>& scenarios();

}  // namespace zks::bench
