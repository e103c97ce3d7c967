// SPDX-License-Identifier: MIT
//
// Relays in memory, and the dialler that reaches them: what PROTOCOL.md ("The relay") asks of one, over
// carriers that a test can cut and stall. A client and an exit that dial by it are whole programs without a
// relay's socket.
//
// What it does not: marks, key epochs, limits. Those are relay/'s, and are tested there and end to end.
//
// Executor: one. What is under way holds the relay that it is at, not this object.
#pragma once

#include <map>
#include <string>

#include "carrier/dialler.hpp"

namespace zks::sim {

namespace asio = boost::asio;

class MemoryRelays final : public carrier::Dialler {
 public:
  // Each relay is known by its host, and there from the first time that anybody names it.
  void stop(const std::string& host);  // all that it carries breaks, and it takes no connection
  void start(const std::string& host);
  void freeze(const std::string& host, bool on);  // nothing comes through, and dials get no answer
  void cut(const std::string& host);              // all that it carries breaks
  void cut_exits(const std::string& host);        // no room is registered there any more
  // How long a message takes, and how many bytes of them a second pass, each way of each pair made later.
  void set_path(const std::string& host, std::chrono::milliseconds delay, std::uint64_t bytes_per_second);
  std::size_t dials(const std::string& host);  // attempts to reach it, so far
  std::size_t pairs(const std::string& host);  // that it has joined, so far
  bool has_exit(const std::string& host);

  carrier::Task<carrier::CarrierPtr> dial(asio::any_io_executor executor, RelayUrl relay, std::string target,
                                          std::chrono::milliseconds within) override;
  void network_changed() override {}

  struct Relay;

 private:
  const std::shared_ptr<Relay>& at(const std::string& host);

  std::map<std::string, std::shared_ptr<Relay>> relays_;
};

}  // namespace zks::sim
