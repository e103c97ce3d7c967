// SPDX-License-Identifier: MIT
//
// The relay's metrics (docs/guide/operating.md has them in a table), made at each scrape from
// relay::Server::status().
#pragma once

#include "ops/metrics_server.hpp"
#include "relay/server.hpp"

namespace zks::app {

// The server has to outlive them.
ops::Collectables relay_collectables(const relay::Server& server);

}  // namespace zks::app
