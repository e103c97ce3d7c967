// SPDX-License-Identifier: MIT
//
// What door.hpp hands to session_server.hpp: a lane whose client has proven who it is.
#pragma once

#include "carrier/carrier.hpp"
#include "tunnel/handshake.hpp"

namespace zks::exit {

struct ProvenLane {
  carrier::CarrierPtr carrier;
  tunnel::Accepted accepted;
  ByteView frames;  // of its first record; they belong to the caller
  std::size_t record_bytes = 0;
};

}  // namespace zks::exit
