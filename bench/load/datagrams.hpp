// SPDX-License-Identifier: MIT
//
// bench_load's datagrams: numbered, through SOCKS5's UDP ASSOCIATE, at a steady rate; how many of them
// arrive.
#pragma once

#include "socket.hpp"

namespace zks::bench {

struct DatagramLoad {
  double mbit_s = 50;
  std::size_t size = 1200;  // bytes of payload, with the number
  double seconds = 3;
};

// Prints {"datagrams", "received", "lost_percent", "reordered", "sent_mbit_s"}.
void run_datagrams(const Endpoint& proxy, const DatagramLoad& load);

}  // namespace zks::bench
