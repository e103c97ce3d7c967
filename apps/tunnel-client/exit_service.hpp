// SPDX-License-Identifier: MIT
//
// The exit peer with everything it needs, put together from its options: state directory, relays, policy that
// follows the machine's interfaces, resolver. Used by exit-peer and by demo.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "exit/exit_peer.hpp"
#include "net/interfaces.hpp"
#include "net/wake_watch.hpp"
#include "options.hpp"

namespace zks::app {

// Executor: the one given. Lifetime: the caller's; the exit peer's coroutines must have ended, or never run
// again.
class ExitService {
 public:
  static Result<std::unique_ptr<ExitService>> create(boost::asio::any_io_executor executor,
                                                     const ExitPeerOptions& options,
                                                     exit::ExitPeer::Handlers handlers);

  exit::ExitPeer& peer() { return *peer_; }
  // Takes up rules and limits; everything else of `options` takes a new start.
  void reload(const ExitPeerOptions& options);
  // The link of the invite named `default`; nothing when that was revoked.
  const std::optional<std::string>& default_link() const { return default_link_; }
  // No start before this one got as far as a relay.
  bool first_start() const { return first_start_; }
  // Keeps the relays for later starts and for `invite`. Once one of them took the room: a URL with a mistake
  // must not replace those that worked. And writes the default link into a file, when it has a name.
  struct Written {
    Result<> relays;
    Result<> link;
  };
  void write_down(const std::filesystem::path& link_file, std::function<void(const Written&)> done);

 private:
  ExitService() = default;
  Result<> issue_default_link(link::StateDirectory& state, const link::ExitIdentity& identity,
                              const link::RelayList& relays);

  std::shared_ptr<exit::Policy> policy_;
  std::shared_ptr<exit::StateWriter> writer_;
  std::unique_ptr<net::InterfaceWatch> interfaces_;
  std::unique_ptr<net::WakeWatch> sleep_;
  std::shared_ptr<exit::ExitPeer> peer_;
  std::filesystem::path state_dir_;
  link::RelayList relays_;
  std::optional<std::string> default_link_;
  bool first_start_ = false;
};

}  // namespace zks::app
