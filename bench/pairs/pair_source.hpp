// SPDX-License-Identifier: MIT
//
// Makes pairs at a relay and holds both halves of each: one room's control line, clients that knock, and the
// exit's answers, with the project's own dialling, handshake and records. A pair counts when the first sealed
// byte came back. main.cpp says what is done with them.
//
// Executor: one, given at construction. Lifetime: outlives its coroutines, which end when the executor does.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "carrier/dial.hpp"
#include "crypto/noise.hpp"
#include "exit/control_line.hpp"
#include "link/access_link.hpp"
#include "link/state_directory.hpp"
#include "tunnel/handshake.hpp"

namespace zks::bench {

namespace asio = boost::asio;

// One end of a pair, its keys agreed.
struct Half {
  Half(carrier::CarrierPtr c, tunnel::LaneKeys k) : carrier(std::move(c)), keys(std::move(k)) {}
  carrier::CarrierPtr carrier;
  tunnel::LaneKeys keys;
};
using HalfPtr = std::shared_ptr<Half>;

struct Pair {
  Pair(HalfPtr c, HalfPtr e) : client(std::move(c)), exit(std::move(e)) {}
  HalfPtr client, exit;
};

class PairSource {
 public:
  // The room is registered when `on_registered` is called; `on_end` says why the control line ended.
  PairSource(asio::any_io_executor executor, const RelayUrl& relay, std::shared_ptr<carrier::TlsTrust> trust,
             link::ExitIdentity identity, std::function<void()> on_registered,
             std::function<void(const Error&)> on_end);

  // Join, knock, pair, Noise, and a sealed byte there and back.
  carrier::Task<Pair> make();

 private:
  asio::awaitable<void> answer(PairId pair);
  carrier::Task<> meet(PairId pair);

  asio::any_io_executor executor_;
  RelayUrl relay_;
  carrier::DiallerPtr dialler_;
  link::ExitIdentity identity_;
  crypto::KeyPair exit_key_;
  crypto::KeyPair client_key_ = crypto::KeyPair::generate();
  link::AccessLink link_;
  std::shared_ptr<exit::ControlLine> line_;
  std::uint64_t next_ = 0;
  std::unordered_map<std::uint64_t, HalfPtr> arrived_;  // the exit's, by the number in their first record
};

}  // namespace zks::bench
