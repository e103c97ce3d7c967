// SPDX-License-Identifier: MIT
//
// A client's metrics (docs/guide/operating.md has them in a table).
#include <algorithm>

#include "watch_service.hpp"

namespace zks::app {
namespace {

using ops::number;

// The best of the lanes: what a program that uses the tunnel feels. None when there is none yet.
std::optional<tunnel::Age> round_trip(const tunnel::ClientStatus& status) {
  std::optional<tunnel::Age> best;
  if (!status.session) return best;
  for (const auto& lane : status.session->lanes) {
    if (lane.round_trip) best = std::min(best.value_or(*lane.round_trip), *lane.round_trip);
  }
  return best;
}

}  // namespace

void add_metrics(ops::Families& out, const tunnel::ClientStatus& status) {
  using State = tunnel::ClientStatus::State;
  const auto& counters = status.counters;
  out.gauge("zks_client_up", "1 while a session with the exit is up.", status.state == State::kUp ? 1 : 0);
  out.gauge("zks_client_lanes", "Lanes of the session.",
            number(status.session ? status.session->lanes.size() : 0));
  out.gauge("zks_client_lanes_wanted", "Lanes that --lanes asks for.", number(status.lanes_wanted));
  if (const auto rtt = round_trip(status)) {
    out.gauge("zks_client_round_trip_seconds", "Smoothed round trip to the exit, of the fastest lane.",
              tunnel::to_seconds(*rtt));
  }
  out.gauge("zks_client_open_streams", "Connections through the tunnel.",
            number(status.session ? status.session->open_streams : 0));
  out.counter("zks_client_streams_total", "Connections that were opened.", number(status.traffic.streams));
  out.counters("zks_client_bytes_total", "Bytes of connections, as programs sent and received them.",
               "direction",
               {{number(status.traffic.stream_sent_bytes), "sent"},
                {number(status.traffic.stream_received_bytes), "received"}});
  out.counters("zks_client_record_bytes_total", "Bytes of sealed records, as the relay sees them.",
               "direction",
               {{number(status.traffic.lane_sent_bytes), "sent"},
                {number(status.traffic.lane_received_bytes), "received"}});
  out.counters("zks_client_records_total", "Sealed records.", "direction",
               {{number(status.traffic.lane_sent_records), "sent"},
                {number(status.traffic.lane_received_records), "received"}});
  out.counter("zks_client_sessions_total", "Sessions that began.", number(counters.sessions));
  out.counter("zks_client_reconnects_total", "Times it came up again after the last lane was lost.",
              number(counters.reconnects));
  out.counter("zks_client_resumes_total", "Those of them at which open connections went on.",
              number(counters.resumes));
  out.counter("zks_client_renewals_total", "Lanes that got a successor before they ended.",
              number(counters.renewals));
  out.counter("zks_client_lanes_lost_total", "Lanes that were lost while they served.",
              number(counters.lanes_lost));
  out.counter("zks_client_failed_attempts_total", "Attempts to come up that failed.",
              number(counters.failed_attempts));
  out.counters("zks_client_datagrams_total", "Datagrams of UDP.", "direction",
               {{number(status.traffic.datagrams.sent), "sent"},
                {number(status.traffic.datagrams.received), "received"}});
  out.counters("zks_client_datagrams_dropped_total", "Datagrams that were dropped here.", "reason",
               {{number(status.traffic.datagrams.dropped_late), "late"},
                {number(status.traffic.datagrams.dropped_full), "no_room"},
                {number(status.traffic.datagrams.dropped_unknown), "no_flow"}});
}

}  // namespace zks::app
