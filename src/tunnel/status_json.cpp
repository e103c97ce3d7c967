// SPDX-License-Identifier: MIT
#include <ctime>

#include "base/bytes.hpp"
#include "tunnel/status.hpp"

namespace zks::tunnel {
Json to_json(const carrier::Path& path) {
  Json out{{"relay_url", path.relay},
           {"address", path.address},
           {"proxy", path.proxy.empty() ? Json() : Json(path.proxy)},
           {"tls", nullptr},
           {"segment_bytes", path.segment == 0 ? Json() : Json(path.segment)}};
  if (!path.tls_version.empty()) {
    out["tls"] = {{"version", path.tls_version}, {"cipher", path.tls_cipher}, {"pinned", path.pinned}};
  }
  return out;
}

Json to_json(const LaneStatus& lane) {
  return {{"number", lane.number},
          {"age_seconds", to_seconds(lane.age)},
          {"rtt_milliseconds", lane.round_trip ? Json(to_seconds(*lane.round_trip) * 1e3) : Json()},
          {"sending_epoch", lane.sending_epoch},
          {"receiving_epoch", lane.receiving_epoch},
          {"sent_bytes", lane.sent_bytes},
          {"received_bytes", lane.received_bytes},
          {"path", to_json(lane.path)}};
}

Traffic& Traffic::operator+=(const Traffic& other) {
  streams += other.streams;
  stream_sent_bytes += other.stream_sent_bytes;
  stream_received_bytes += other.stream_received_bytes;
  lane_sent_bytes += other.lane_sent_bytes;
  lane_received_bytes += other.lane_received_bytes;
  lane_sent_records += other.lane_sent_records;
  lane_received_records += other.lane_received_records;
  datagrams.sent += other.datagrams.sent;
  datagrams.received += other.datagrams.received;
  datagrams.dropped_late += other.datagrams.dropped_late;
  datagrams.dropped_full += other.datagrams.dropped_full;
  datagrams.dropped_unknown += other.datagrams.dropped_unknown;
  return *this;
}

const char* name_of(ClientStatus::State state) {
  switch (state) {
    case ClientStatus::State::kConnecting:
      return "connecting";
    case ClientStatus::State::kUp:
      return "up";
    case ClientStatus::State::kOrphaned:
      return "orphaned";
    case ClientStatus::State::kStopping:
      break;
  }
  return "stopping";
}

// Milliseconds are as much as anybody can use.
double to_seconds(Age age) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(age).count()) / 1e6;
}

std::string utc_before_now(Age age) {
  const auto then =
      std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
  const std::time_t time = std::chrono::system_clock::to_time_t(then);
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

Json to_json(const Traffic& traffic) {
  return {{"streams", traffic.streams},
          {"stream_sent_bytes", traffic.stream_sent_bytes},
          {"stream_received_bytes", traffic.stream_received_bytes},
          {"lane_sent_bytes", traffic.lane_sent_bytes},
          {"lane_received_bytes", traffic.lane_received_bytes},
          {"lane_sent_records", traffic.lane_sent_records},
          {"lane_received_records", traffic.lane_received_records},
          {"datagrams",
           {{"sent", traffic.datagrams.sent},
            {"received", traffic.datagrams.received},
            {"dropped_late", traffic.datagrams.dropped_late},
            {"dropped_full", traffic.datagrams.dropped_full},
            {"dropped_unknown", traffic.datagrams.dropped_unknown}}}};
}

Json to_json(const TunnelStatus& status) {
  Json lanes = Json::array();
  for (const LaneStatus& lane : status.lanes) lanes.push_back(to_json(lane));
  return {{"age_seconds", to_seconds(status.age)}, {"since", utc_before_now(status.age)},
          {"orphaned", status.orphaned},           {"open_streams", status.open_streams},
          {"open_flows", status.open_flows},       {"memory_bytes", status.memory_bytes},
          {"traffic", to_json(status.traffic)},    {"lanes", std::move(lanes)}};
}

Json to_json(const std::optional<Trouble>& trouble) {
  if (!trouble) return {};
  return {{"text", printable(trouble->text)},
          {"age_seconds", to_seconds(trouble->age)},
          {"at", utc_before_now(trouble->age)}};
}

Json to_json(const ClientStatus& status) {
  const ClientStatus::Counters& counters = status.counters;
  return {{"state", name_of(status.state)},
          {"state_seconds", to_seconds(status.state_age)},
          {"state_since", utc_before_now(status.state_age)},
          {"last_error", to_json(status.trouble)},
          {"lanes_wanted", status.lanes_wanted},
          {"exit_instance", status.exit_instance ? Json(to_base64url(*status.exit_instance)) : Json()},
          {"session", status.session ? to_json(*status.session) : Json()},
          {"counters",
           {{"sessions", counters.sessions},
            {"reconnects", counters.reconnects},
            {"resumes", counters.resumes},
            {"renewals", counters.renewals},
            {"lanes_lost", counters.lanes_lost},
            {"failed_attempts", counters.failed_attempts}}},
          {"traffic", to_json(status.traffic)}};
}

}  // namespace zks::tunnel
