// SPDX-License-Identifier: MIT
//
// A lane in the making: dials a relay of the link, waits there for the exit, and shakes hands. A relay that
// is not through within 2.5 s has the next one tried beside it, and the first that is through wins: one that
// takes connections and goes no further costs a user that time, not a time-out. Next: Client attaches the
// lane.
//
// Executor: the one given.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/names.hpp"
#include "carrier/carrier.hpp"
#include "carrier/dialler.hpp"
#include "crypto/x25519.hpp"
#include "link/access_link.hpp"
#include "tunnel/handshake.hpp"

namespace zks::tunnel {

namespace asio = boost::asio;

// What lanes are made of. Shared with attempts that outlive the one that won.
struct LaneSource {
  link::AccessLink link;
  crypto::KeyPair key;
  carrier::DiallerPtr dialler;
};

struct FreshLane {
  carrier::CarrierPtr carrier;
  LaneKeys keys;
  std::size_t relay = 0;  // of the link
};

// Begins with the link's relay `first`. `instance`, asked for each relay: the only exit process that will do;
// none: any. The error is of a relay that gave hope if one did (is_final()), else of the first.
carrier::Task<FreshLane> dial_lane(asio::any_io_executor executor, std::shared_ptr<const LaneSource> source,
                                   std::size_t first, std::function<std::optional<InstanceId>()> instance);

// Before the first session: whether a failure ends the client (true) or is worth a retry.
bool is_final(const Error& error);

}  // namespace zks::tunnel
