// SPDX-License-Identifier: MIT
//
// The flags of zks-tunnel-relay, read into what the relay and this program need. main.cpp runs them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "net/listen.hpp"
#include "ops/options.hpp"
#include "relay/options.hpp"

namespace zks::app {

struct RelayProgram {
  relay::Options relay;
  std::size_t threads = 1;
  std::string ready_file;
  std::optional<net::Endpoints> metrics;  // none: off
};

// Declares the flags on `line`; `program` has to outlive it.
class RelayFlags {
 public:
  RelayFlags(ops::CommandLine& line, RelayProgram& program);

  // After parsing: what no flag can check alone. kUsage says what to do.
  Result<> finish();

 private:
  void add_listeners(CLI::App& app);
  void add_access(CLI::App& app);
  void add_limits(CLI::App& app);
  void add_rotation(CLI::App& app);

  RelayProgram& program_;
  std::vector<net::Endpoints> listen_;  // of each option
  std::string certificate_;
  std::string key_;
  bool plaintext_ = false;
  std::uint64_t max_held_ = 0;  // 0: the default
};

}  // namespace zks::app
