// SPDX-License-Identifier: MIT
//
// Both ends of a session get a lane, over a carrier in memory.
#pragma once

#include <memory>

#include "carrier/memory.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::test {

inline tunnel::LaneKeys lane_keys(Direction out, Direction in) {
  const Digest hash{};
  const Key local;
  const Key remote;
  return {crypto::RecordSealer(local.clone(), out, hash, remote),
          crypto::RecordOpener(local.clone(), in, hash, remote), std::uint64_t{16} << 20};
}

inline std::shared_ptr<carrier::MemoryLink> join_tunnels(const boost::asio::any_io_executor& executor,
                                                         tunnel::Tunnel& client, tunnel::Tunnel& exit) {
  auto pair = carrier::make_memory_pair(executor);
  client.attach(std::move(pair.first), lane_keys(Direction::kClientToExit, Direction::kExitToClient), 1,
                session::HelloMode::kNew);
  exit.attach(std::move(pair.second), lane_keys(Direction::kExitToClient, Direction::kClientToExit), 1,
              session::HelloMode::kNew);
  return pair.link;
}

}  // namespace zks::test
