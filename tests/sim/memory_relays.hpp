// SPDX-License-Identifier: MIT
//
// Real relays without sockets, and the dialler that reaches them: rooms, halves, admission and every limit
// are relay/'s; in place of TCP, TLS and the WebSocket there are memory pairs (carrier/memory.hpp) over
// paths that a test can cut and stall.
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
  // Each relay gives a pair a new key after so many bytes, and so much time.
  MemoryRelays(std::uint64_t rotate_bytes, std::chrono::seconds rotate_after)
      : rotate_bytes_(rotate_bytes), rotate_after_(rotate_after) {}

  // Each relay is known by its host, and there from the first time that anybody names it.
  void stop(const std::string& host);  // all that it carries breaks, and it takes no connection
  void start(const std::string& host);
  void freeze(const std::string& host, bool on);  // nothing comes through, and dials get no answer
  void cut(const std::string& host);              // all that it carries breaks
  void cut_exits(const std::string& host);        // no room is registered there any more
  // The path from either end to the relay, of each connection made later: together they take `delay`.
  void set_path(const std::string& host, std::chrono::milliseconds delay, std::uint64_t bytes_per_second);
  std::size_t dials(const std::string& host);  // attempts to reach it, so far
  std::size_t pairs(const std::string& host);  // that it has joined, so far
  std::size_t keys();                          // that all of them gave to pairs after their first
  bool has_exit(const std::string& host);
  // No relay has a room, a pair, a connection or a byte of one.
  bool hold_nothing() const;
  // All stop for good. Afterwards is_over() says whether one is still held by something.
  void stop_all();
  bool is_over() const;

  carrier::Task<carrier::CarrierPtr> dial(asio::any_io_executor executor, RelayUrl relay, std::string target,
                                          std::chrono::milliseconds within) override;
  void network_changed() override {}

  struct Host;

 private:
  const std::shared_ptr<Host>& at(const std::string& host);

  const std::uint64_t rotate_bytes_;
  const std::chrono::seconds rotate_after_;
  std::map<std::string, std::shared_ptr<Host>> hosts_;
};

}  // namespace zks::sim
