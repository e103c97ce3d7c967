// SPDX-License-Identifier: MIT
//
// How an end reaches relays. The programs give their client or exit a NetworkDialler (dial.hpp); a test gives
// one that hands out carriers in memory, and so runs a whole client, exit or control line without a socket.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/relay_url.hpp"
#include "carrier/carrier.hpp"

namespace zks::carrier {

// A dial, where nothing is in a greater hurry.
inline constexpr std::chrono::seconds kDialWithin{10};

class Dialler {
 public:
  virtual ~Dialler() = default;

  // `target` is the path after the relay's prefix, "/v1/rooms/...". It has `within` and the dialler's own
  // time-out, whichever is shorter, and may be left by a terminal cancellation. Errors: dial.hpp.
  virtual Task<CarrierPtr> dial(asio::any_io_executor executor, RelayUrl relay, std::string target,
                                std::chrono::milliseconds within) = 0;
  // The machine may be in another network: what was learned of the paths is forgotten.
  virtual void network_changed() = 0;
};

// Shared by all who dial for one end, since what one of them learns is worth something to the others.
using DiallerPtr = std::shared_ptr<Dialler>;

}  // namespace zks::carrier
