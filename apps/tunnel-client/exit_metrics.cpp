// SPDX-License-Identifier: MIT
//
// An exit peer's metrics (docs/guide/operating.md has them in a table). Invites are not among the labels:
// names of users are for `status`, which only the exit's owner can ask.
#include "watch_service.hpp"

namespace zks::app {
namespace {

using ops::number;

template <class Reason, std::size_t N>
std::vector<ops::Families::Sample> by_reason(const std::array<std::uint64_t, N>& counts) {
  std::vector<ops::Families::Sample> out;
  for (std::size_t i = 0; i < N; ++i) {
    out.push_back({number(counts[i]), exit::name_of(static_cast<Reason>(i))});
  }
  return out;
}

}  // namespace

void add_metrics(ops::Families& out, const exit::ExitStatus& status) {
  std::uint64_t streams = 0;
  std::uint64_t lanes = 0;
  std::uint64_t memory = 0;
  for (const auto& session : status.sessions) {
    streams += session.tunnel.open_streams;
    lanes += session.tunnel.lanes.size();
    memory += session.tunnel.memory_bytes;
  }
  std::uint64_t registrations = 0;
  for (const auto& relay : status.relays) registrations += relay.registrations;
  const exit::ExitTally& tally = status.tally;
  out.gauge("zks_exit_relays", "Relays of this exit.", number(status.relays.size()));
  out.gauge("zks_exit_relays_registered", "Those of them that it is registered with.",
            number(status.registered_relays()));
  out.counter("zks_exit_registrations_total", "Registrations with relays.", number(registrations));
  out.gauge("zks_exit_faults", "State that can't be read or written: `status` and the log say which.",
            number(status.faults.size()));
  out.gauge("zks_exit_sessions", "Sessions, those whose client is away included.",
            number(status.sessions.size()));
  out.gauge("zks_exit_sessions_max", "Sessions that --max-sessions allows.", number(status.max_sessions));
  out.gauge("zks_exit_orphans", "Sessions whose client is away.", number(status.orphans()));
  out.gauge("zks_exit_lanes", "Lanes of all sessions.", number(lanes));
  out.gauge("zks_exit_open_streams", "Connections of users.", number(streams));
  out.gauge("zks_exit_stream_memory_bytes", "Memory of the connections' buffers.", number(memory));
  out.counter("zks_exit_knocks_total", "Knocks of clients, by way of the relays.", number(tally.knocks));
  out.counter("zks_exit_sessions_begun_total", "Sessions that began.", number(status.served.begun));
  out.counter("zks_exit_resumes_total", "Sessions that went on with a new lane.",
              number(status.served.resumed));
  out.counters("zks_exit_clients_refused_total", "Clients that knocked and got no session.", "reason",
               by_reason<exit::ClientRefusal>(tally.refused_clients));
  out.counter("zks_exit_streams_total", "Connections that users asked for.", number(status.traffic.streams));
  out.counter("zks_exit_streams_connected_total", "Those of them that were made.",
              number(status.streams.connected_streams));
  out.counters("zks_exit_refused_total",
               "Connections that were refused or failed, and refused destinations of datagrams.", "reason",
               by_reason<session::ResetCode>(status.streams.failed_streams));
  out.counters("zks_exit_bytes_total", "Bytes of connections: sent to users, received from them.",
               "direction",
               {{number(status.traffic.stream_sent_bytes), "sent"},
                {number(status.traffic.stream_received_bytes), "received"}});
  out.counters("zks_exit_record_bytes_total", "Bytes of sealed records, as relays see them.", "direction",
               {{number(status.traffic.lane_sent_bytes), "sent"},
                {number(status.traffic.lane_received_bytes), "received"}});
  out.counters("zks_exit_datagrams_total", "Datagrams of UDP.", "direction",
               {{number(status.traffic.datagrams.sent), "sent"},
                {number(status.traffic.datagrams.received), "received"}});
  out.counters("zks_exit_datagrams_dropped_total", "Datagrams that were dropped here.", "reason",
               {{number(status.traffic.datagrams.dropped_late), "late"},
                {number(status.traffic.datagrams.dropped_full), "no_room"},
                {number(status.traffic.datagrams.dropped_unknown), "no_flow"}});
}

}  // namespace zks::app
