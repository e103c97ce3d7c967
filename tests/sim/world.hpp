// SPDX-License-Identifier: MIT
//
// A whole client and whole exits, one after the other, which meet at relays in memory, on virtual time. What
// they connect to is the test's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "exit/exit_peer.hpp"
#include "memory_relays.hpp"
#include "tunnel/client.hpp"
#include "virtual_time.hpp"

namespace zks::sim {

struct WorldOptions {
  std::uint64_t seed = 1;
  std::size_t relays = 1;  // "r0.test" and so on
  std::size_t lanes = 1;
  std::chrono::seconds orphan_timeout{120};
  std::chrono::seconds renew_after{3'600};
  std::chrono::milliseconds control_refresh{0};
  // A relay's, for a pair's key.
  std::uint64_t rotate_bytes = std::uint64_t{1} << 30;
  std::chrono::seconds rotate_after{600};
};

std::string relay_name(std::size_t index);

class World {
 public:
  using Target = asio::local::stream_protocol::socket;
  // An exit has connected to `name`: the far end of that.
  using OnConnect = std::function<void(const std::string& name, Target socket)>;

  World(const WorldOptions& options, OnConnect on_connect);
  // Ends what still runs, and fails the test if anything is left of it then.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void start_exit();
  // As by SIGKILL: its connections break, and nothing is said.
  void kill_exit();
  void start_client();

  bool until(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    return VirtualTime::run(loop, done, limit);
  }
  // A stream to the target of this name. Null: why it failed is forgotten.
  tunnel::StreamPtr open(const std::string& name);
  static session::Destination destination(const std::string& name);

  asio::io_context loop{1};
  std::shared_ptr<MemoryRelays> relays;
  std::shared_ptr<tunnel::Client> client;
  std::shared_ptr<exit::ExitPeer> exit;
  int sessions = 0;  // that the client said were up

 private:
  asio::awaitable<exit::ConnectOutcome> connect(session::Destination destination);

  WorldOptions options_;
  OnConnect on_connect_;
  std::vector<RelayUrl> hosts_;
  std::vector<std::weak_ptr<exit::ExitPeer>> killed_;
};

}  // namespace zks::sim
