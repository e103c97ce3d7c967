// SPDX-License-Identifier: MIT
#include "metrics.hpp"

#include "ops/families.hpp"
#include "ops/process_metrics.hpp"

namespace zks::app {
namespace {

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

const char* reason_of(std::size_t place) {
  switch (place < relay::kCountedStatuses.size() ? relay::kCountedStatuses[place] : 0) {
    case 400:
      return "malformed";
    case 403:
      return "room_not_allowed";
    case 404:
      return "not_found";
    case 410:
      return "pair_gone";
    case 414:
      return "target_too_long";
    case 421:
      return "name_not_known";
    case 429:
      return "too_many";
    case 431:
      return "header_too_long";
    case 503:
      return "relay_full";
    default:
      return "other";
  }
}

void add_gauges(ops::Families& out, const relay::Status& status) {
  out.gauge("zks_relay_rooms", "Rooms with an exit or a pair.", number(status.rooms));
  out.gauge("zks_relay_exits", "Registered exits.", number(status.exits));
  out.gauge("zks_relay_pairs", "Pairs, clients that wait for their exit included.", number(status.pairs));
  out.gauge("zks_relay_pairs_max", "Pairs that --max-pairs allows.", number(status.max_pairs));
  out.gauge("zks_relay_handshakes", "Connections that are not in a room yet.", number(status.handshakes));
  out.gauge("zks_relay_uptime_seconds", "Time since the start.",
            std::chrono::duration<double>(status.uptime).count());
}

void add_forwarding(ops::Families& out, const relay::Status& status) {
  const auto& up = status.forwarded[relay::Counters::kToExit];
  const auto& down = status.forwarded[relay::Counters::kToClient];
  out.counters("zks_relay_bytes_total", "Bytes of messages that were passed on.", "direction",
               {{number(up.bytes), "to_exit"}, {number(down.bytes), "to_client"}});
  out.counters("zks_relay_messages_total", "Messages that were passed on.", "direction",
               {{number(up.messages), "to_exit"}, {number(down.messages), "to_client"}});
  out.counter("zks_relay_keys_total", "Keys given to pairs after their first.", number(status.keys));
}

void add_arrivals(ops::Families& out, const relay::Status& status) {
  out.counter("zks_relay_connections_total", "Connections that were accepted.", number(status.connections));
  out.counter("zks_relay_handshake_timeouts_total", "Connections that did not get into a room in time.",
              number(status.handshake_timeouts));
  out.counter("zks_relay_handshakes_evicted_total", "Connections that gave their place to a newer one.",
              number(status.handshakes_evicted));
  out.counter("zks_relay_tls_failures_total", "TLS handshakes that failed, other than by time.",
              number(status.tls_failures));
  out.counter("zks_relay_request_failures_total", "Connections without a whole HTTP request.",
              number(status.request_failures));
  out.counter("zks_relay_registrations_total", "Exits that registered.", number(status.registrations));
  out.counter("zks_relay_registrations_refused_total", "Exits that did not prove that the room is theirs.",
              number(status.registrations_refused));
  out.counter("zks_relay_knocks_total", "Knocks on exits.", number(status.knocks));
  out.counter("zks_relay_pairs_joined_total", "Pairs that were made.", number(status.pairs_joined));
  std::vector<ops::Families::Sample> refused;
  for (std::size_t i = 0; i < status.answers.size(); ++i) {
    const bool health = i < relay::kCountedStatuses.size() && relay::kCountedStatuses[i] == 200;
    if (!health) refused.push_back({number(status.answers[i]), reason_of(i)});
  }
  out.counters("zks_relay_joins_refused_total", "Requests that were refused before the upgrade.", "reason",
               std::move(refused));
}

void add_ends(ops::Families& out, const relay::Status& status) {
  std::vector<std::pair<ops::Families::Labels, double>> closes;
  for (std::size_t by = 0; by < status.closes.size(); ++by) {
    for (std::size_t i = 0; i < status.closes[by].size(); ++i) {
      std::string code = "other";
      if (i < relay::kCountedCodes.size()) {
        code = relay::kCountedCodes[i] == 0 ? "none" : std::to_string(relay::kCountedCodes[i]);
      }
      closes.push_back({{{"by", by == 0 ? "peer" : "relay"}, {"code", code}}, number(status.closes[by][i])});
    }
  }
  out.counters("zks_relay_closes_total",
               "Sockets that ended, by who began it and by close code; none: without a close.", closes);
}

class RelayMetrics final : public prometheus::Collectable {
 public:
  explicit RelayMetrics(const relay::Server& server) : server_(server) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    const relay::Status status = server_.status();
    ops::Families out;
    add_gauges(out, status);
    add_forwarding(out, status);
    add_arrivals(out, status);
    add_ends(out, status);
    return out.take();
  }

 private:
  const relay::Server& server_;
};

}  // namespace

ops::Collectables relay_collectables(const relay::Server& server) {
  return {std::make_shared<RelayMetrics>(server), std::make_shared<ops::ProcessMetrics>("zks-tunnel-relay")};
}

}  // namespace zks::app
