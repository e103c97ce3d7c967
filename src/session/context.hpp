// SPDX-License-Identifier: MIT
//
// What the parts of a session share: its options, what the exit said of itself, whether it is ending, which
// lanes there are, and the queue of events. Session owns it, and each part has a pointer to it. The state of
// a part is not in here.
#pragma once

#include <optional>
#include <vector>

#include "session/event.hpp"
#include "session/lane_table.hpp"

namespace zks::session {

enum class Role : std::uint8_t { kClient, kExit };

struct Options {
  Role role = Role::kClient;
  SessionId id{};
  InstanceId instance{};  // exit: its own
  std::uint64_t max_streams = 2048;
  std::uint64_t max_flows = 1024;      // exit: 0 for no UDP; client: beside what the exit says
  std::uint64_t orphan_seconds = 120;  // exit: how long the session outlives its lane
  std::uint64_t max_listeners = 0;     // exit: how many the client may have
  ExitCapabilities capabilities;       // exit: what WELCOME says
  std::uint64_t receive_memory_bytes = 64 * 1024 * 1024;
  std::uint64_t send_memory_bytes = 64 * 1024 * 1024;
};

struct SessionContext {
  explicit SessionContext(Options of_session) : options(std::move(of_session)) {}

  Options options;
  LaneTable lanes;
  std::optional<Parameters> welcome;  // client: what the last WELCOME said
  bool leaving = false;               // GOAWAY was sent, received or is due
  std::vector<Event> events;

  bool client() const { return options.role == Role::kClient; }
  void push(Event event) { events.push_back(std::move(event)); }
};

}  // namespace zks::session
