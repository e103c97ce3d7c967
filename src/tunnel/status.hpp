// SPDX-License-Identifier: MIT
//
// How a client or a tunnel is doing, as plain numbers: filled in when somebody asks (Tunnel::status(),
// Client::status()), written as JSON by status_json.cpp for the control socket, and by the programs as
// metrics. A new figure gets a member here, a line in status_json.cpp, and one in each of the two programs'
// metrics. Nothing here is secret, and no destination is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/names.hpp"
#include "carrier/path.hpp"
#include "session/flow_state.hpp"
#include "session/frames.hpp"

namespace zks::tunnel {

using Age = std::chrono::nanoseconds;

// Of one session, or of all that there were, the present ones included.
struct Traffic {
  std::uint64_t streams = 0;                // opened
  std::uint64_t stream_sent_bytes = 0;      // what applications wrote
  std::uint64_t stream_received_bytes = 0;  // what they read
  std::uint64_t lane_sent_bytes = 0;        // records, as the relay sees them
  std::uint64_t lane_received_bytes = 0;
  std::uint64_t lane_sent_records = 0;
  std::uint64_t lane_received_records = 0;
  session::FlowCounters datagrams;

  Traffic& operator+=(const Traffic& other);
};

struct LaneStatus {
  session::LaneNumber number = 0;
  carrier::Path path;
  Age age{};
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::optional<Age> round_trip;
  std::uint64_t sending_epoch = 0;  // of the relay's key, by which records are sealed now
  std::uint64_t receiving_epoch = 0;
};

struct TunnelStatus {
  Age age{};
  bool orphaned = false;  // no lane: its streams wait
  std::vector<LaneStatus> lanes;
  std::uint64_t open_streams = 0;
  std::uint64_t known_streams = 0;  // with those that are over, where the peer has yet to say so
  std::uint64_t open_flows = 0;     // of UDP
  std::uint64_t memory_bytes = 0;   // of the streams' buffers
  Traffic traffic;
};

// What a program remembers of its troubles: the newest alone.
struct Trouble {
  std::string text;
  Age age{};
};

struct ClientStatus {
  enum class State : std::uint8_t {
    kConnecting,  // there is no session
    kUp,
    kOrphaned,  // the last lane is lost; the session's streams wait for another one
    kStopping,
  };

  // Since the start of the program.
  struct Counters {
    std::uint64_t sessions = 0;
    std::uint64_t reconnects = 0;       // came up again after the last lane was lost
    std::uint64_t resumes = 0;          // those of them at which the streams went on
    std::uint64_t renewals = 0;         // lanes that got a successor before they ended
    std::uint64_t lanes_lost = 0;       // while they served
    std::uint64_t failed_attempts = 0;  // to come up
  };

  State state = State::kConnecting;
  Age state_age{};
  std::optional<Trouble> trouble;
  std::size_t lanes_wanted = 1;
  std::optional<InstanceId> exit_instance;
  std::optional<TunnelStatus> session;
  Counters counters;
  Traffic traffic;
};

const char* name_of(ClientStatus::State state);

// Names carry their units; ages also as a time of day, from `now`.
using Json = nlohmann::ordered_json;
Json to_json(const carrier::Path& path);
Json to_json(const LaneStatus& lane);
Json to_json(const Traffic& traffic);
Json to_json(const TunnelStatus& status);
Json to_json(const std::optional<Trouble>& trouble);
Json to_json(const ClientStatus& status);
// For ages: "2026-11-24T22:10:03Z".
std::string utc_before_now(Age age);
double to_seconds(Age age);

}  // namespace zks::tunnel
