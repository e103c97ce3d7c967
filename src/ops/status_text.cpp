// SPDX-License-Identifier: MIT
#include "ops/status_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/bytes.hpp"

namespace zks::ops {
namespace {

using nlohmann::json;

const json kNothing;

const json& member(const json& object, const char* name) {
  if (!object.is_object()) return kNothing;
  const auto at = object.find(name);
  return at == object.end() ? kNothing : *at;
}

std::string text(const json& value) {
  return value.is_string() ? printable(value.get_ref<const std::string&>()) : "?";
}
std::string text(const json& object, const char* name) {
  return text(member(object, name));
}

std::string count(const json& object, const char* name) {
  const json& value = member(object, name);
  return value.is_number_unsigned() ? std::to_string(value.get<std::uint64_t>()) : "?";
}

std::string bytes(const json& object, const char* name) {
  const json& value = member(object, name);
  return value.is_number_unsigned() ? bytes_text(value.get<std::uint64_t>()) : "?";
}

std::string duration(const json& object, const char* name) {
  const json& value = member(object, name);
  return value.is_number() ? duration_text(value.get<double>()) : "?";
}

std::string milliseconds(const json& object, const char* name) {
  const json& value = member(object, name);
  if (!value.is_number()) return "?";
  std::array<char, 32> out;
  std::snprintf(out.data(), out.size(), "%.1f ms", value.get<double>());
  return out.data();
}

void line(std::string& out, const std::string& name, const std::string& value) {
  constexpr std::size_t kColumn = 13;
  out += name;
  out.append(name.size() < kColumn ? kColumn - name.size() : 1, ' ');
  out += value + "\n";
}

using Row = std::vector<std::string>;

std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] + 2 - row[i].size(), ' ');
    }
    out += "\n";
  }
  return out;
}

std::string path_text(const json& path) {
  std::string out = text(path, "relay_url") + " at " + text(path, "address");
  if (const json& proxy = member(path, "proxy"); proxy.is_string())
    out += ", through the proxy " + text(proxy);
  if (const json& segment = member(path, "segment_bytes"); segment.is_number())
    out += ", segments of " + count(path, "segment_bytes") + " bytes";
  const json& tls = member(path, "tls");
  if (!tls.is_object()) return out + ", plaintext";
  out += ", " + text(tls, "version") + " " + text(tls, "cipher");
  return out + (member(tls, "pinned") == true ? ", key pinned" : ", certificate verified");
}

void state_lines(std::string& out, const json& of) {
  line(out, "state",
       text(of, "state") + " for " + duration(of, "state_seconds") + ", since " + text(of, "state_since"));
}

void error_line(std::string& out, const json& error) {
  if (error.is_object())
    line(out, "last error", duration(error, "age_seconds") + " ago: " + text(error, "text"));
}

std::string both_ways(const json& of, const char* sent, const char* received) {
  return bytes(of, sent) + " sent, " + bytes(of, received) + " received";
}

// Only where there were any: most sessions carry none.
void datagram_line(std::string& out, const json& datagrams) {
  const json& sent = member(datagrams, "sent");
  const json& received = member(datagrams, "received");
  if (!sent.is_number_unsigned() || !received.is_number_unsigned() || (sent == 0 && received == 0)) return;
  line(out, "datagrams",
       count(datagrams, "sent") + " sent, " + count(datagrams, "received") + " received; dropped: " +
           count(datagrams, "dropped_late") + " late, " + count(datagrams, "dropped_full") +
           " for lack of room, " + count(datagrams, "dropped_unknown") + " without a flow");
}

void traffic_lines(std::string& out, const std::string& streams, const json& traffic) {
  line(out, "streams",
       streams + count(traffic, "streams") + " since the start; " +
           both_ways(traffic, "stream_sent_bytes", "stream_received_bytes"));
  datagram_line(out, member(traffic, "datagrams"));
  line(out, "records",
       count(traffic, "lane_sent_records") + " sent, " + count(traffic, "lane_received_records") +
           " received; " + both_ways(traffic, "lane_sent_bytes", "lane_received_bytes"));
}

std::string lane_table(const json& lanes) {
  std::vector<Row> rows{{"LANE", "AGE", "RTT", "EPOCH SENDING", "RECEIVING", "SENT", "RECEIVED", "RELAY"}};
  for (const json& lane : lanes) {
    rows.push_back({count(lane, "number"), duration(lane, "age_seconds"),
                    milliseconds(lane, "rtt_milliseconds"), count(lane, "sending_epoch"),
                    count(lane, "receiving_epoch"), bytes(lane, "sent_bytes"), bytes(lane, "received_bytes"),
                    text(member(lane, "path"), "relay_url")});
  }
  return table(rows);
}

void render_client(std::string& out, const json& client) {
  state_lines(out, client);
  error_line(out, member(client, "last_error"));
  const json& session = member(client, "session");
  const json& lanes = member(session, "lanes");
  if (lanes.is_array() && !lanes.empty()) line(out, "relay", path_text(member(lanes.front(), "path")));
  if (member(client, "exit_instance").is_string())
    line(out, "exit", "instance " + text(client, "exit_instance"));
  const std::string open = session.is_object() ? count(session, "open_streams") + " open, " : "";
  traffic_lines(out, open, member(client, "traffic"));
  const json& counters = member(client, "counters");
  line(out, "so far",
       count(counters, "sessions") + " sessions, " + count(counters, "reconnects") + " reconnects (" +
           count(counters, "resumes") + " resumed), " + count(counters, "renewals") + " renewals, " +
           count(counters, "lanes_lost") + " lanes lost, " + count(counters, "failed_attempts") +
           " failed attempts");
  const std::size_t alive = lanes.is_array() ? lanes.size() : 0;
  line(out, "lanes", std::to_string(alive) + " of " + count(client, "lanes_wanted"));
  if (alive > 0) out += "\n" + lane_table(lanes);
}

std::string reasons(const json& counts) {
  std::string out;
  if (!counts.is_object()) return "?";
  for (const auto& [reason, number] : counts.items()) {
    out += (out.empty() ? "" : ", ") + printable(reason) + " " + count(counts, reason.c_str());
  }
  return out.empty() ? "none" : out;
}

void render_relays(std::string& out, const json& relays) {
  if (!relays.is_array()) return;
  for (const json& relay : relays) {
    const bool registered = member(relay, "registered") == true;
    line(out, "relay",
         (registered ? path_text(member(relay, "path")) + ", registered for "
                     : text(relay, "relay_url") + ", not registered for ") +
             duration(relay, "state_seconds"));
    error_line(out, member(relay, "last_error"));
  }
}

std::string used_text(const json& session) {
  const bool quota = member(session, "invite_quota_bytes").is_number_unsigned();
  return bytes(session, "invite_used_bytes") + (quota ? " of " + bytes(session, "invite_quota_bytes") : "");
}

std::string session_table(const json& sessions) {
  std::vector<Row> rows{
      {"INVITE", "SINCE", "LANES", "RTT", "STREAMS", "IN ALL", "SENT", "RECEIVED", "INVITE USED"}};
  for (const json& session : sessions) {
    const json& lanes = member(session, "lanes");
    const json& traffic = member(session, "traffic");
    const bool orphan = member(session, "orphaned") == true;
    rows.push_back(
        {text(session, "invite"), text(session, "since"),
         orphan ? "away" : std::to_string(lanes.is_array() ? lanes.size() : 0),
         lanes.is_array() && !lanes.empty() ? milliseconds(lanes.front(), "rtt_milliseconds") : "-",
         count(session, "open_streams"), count(traffic, "streams"), bytes(traffic, "lane_sent_bytes"),
         bytes(traffic, "lane_received_bytes"), used_text(session)});
  }
  return table(rows);
}

void render_exit(std::string& out, const json& exit) {
  line(out, "state", text(exit, "state"));
  for (const json& fault : member(exit, "faults")) line(out, "fault", text(fault));
  line(out, "room", text(exit, "room") + ", instance " + text(exit, "instance"));
  render_relays(out, member(exit, "relays"));
  const json& sessions = member(exit, "sessions");
  const json& counters = member(exit, "counters");
  const std::size_t listed = sessions.is_array() ? sessions.size() : 0;
  line(out, "sessions",
       count(exit, "live_sessions") + " of at most " + count(exit, "max_sessions") + ", " +
           count(exit, "orphans") + " of them away; " + count(counters, "sessions") + " since the start, " +
           count(counters, "resumes") + " times resumed");
  traffic_lines(out, "", member(exit, "traffic"));
  line(out, "refused", "clients: " + reasons(member(counters, "refused_clients")));
  line(out, "", "streams: " + reasons(member(counters, "failed_streams")));
  if (listed > 0) out += "\n" + session_table(sessions);
}

void render_doors(std::string& out, const json& doors) {
  if (!doors.is_array()) return;
  for (const json& door : doors) {
    const json& connections = member(door, "connections");
    line(out, text(door, "kind"),
         text(door, "address") +
             (connections.is_number_unsigned() ? ", " + count(door, "connections") + " connections" : ""));
  }
}

// The first few: there may be thousands.
std::string listed(const json& values, const char* none, std::string (*show)(const json&)) {
  constexpr std::size_t kShown = 8;
  if (!values.is_array()) return "?";
  std::string out;
  for (std::size_t i = 0; i < std::min(values.size(), kShown); ++i) {
    out += (i == 0 ? "" : ", ") + show(values[i]);
  }
  if (values.size() > kShown) out += " and " + std::to_string(values.size() - kShown) + " more";
  return out.empty() ? none : out;
}

std::string uid_text(const json& range) {
  const std::string first = count(range, "first");
  return member(range, "first") == member(range, "last") ? first : first + "-" + count(range, "last");
}

std::string device_text(const json& set_up) {
  const json& offloads = member(set_up, "offloads");
  const bool tcp = member(offloads, "tcp") == true;
  const bool udp = member(offloads, "udp") == true;
  return text(set_up, "tun") + ", " + text(set_up, "ipv4") +
         (member(set_up, "ipv6").is_string() ? ", " + text(set_up, "ipv6") : "") + ", MTU " +
         count(set_up, "mtu") + ", segmentation offload for " +
         (udp   ? "TCP and UDP"
          : tcp ? "TCP"
                : "nothing");
}

void set_up_lines(std::string& out, const json& set_up) {
  if (!set_up.is_object()) return;
  const auto show = [](const json& value) { return text(value); };
  line(out, "device", device_text(set_up));
  line(out, "routes", "in: " + listed(member(set_up, "routes"), "nothing", show));
  line(out, "", "around: " + listed(member(set_up, "excludes"), "nothing", show));
  line(out, "users", listed(member(set_up, "uids"), "everybody", uid_text));
  const std::string how = text(set_up, "name_service");
  line(out, "names",
       how == "unchanged" ? "left alone" : "at " + listed(member(set_up, "dns"), "?", show) + ", by " + how);
  line(out, "kill switch", member(set_up, "kill_switch") == true ? "on" : "off");
}

void render_tun(std::string& out, const json& tun) {
  set_up_lines(out, member(tun, "set_up"));
  line(out, "tcp",
       count(tun, "connections") + " open, " + count(tun, "opened") + " opened and " + count(tun, "refused") +
           " refused since the start");
  line(out, "udp",
       count(tun, "flows") + " flows; " + count(tun, "datagrams_sent") + " sent, " +
           count(tun, "datagrams_received") + " received");
  line(out, "pings",
       count(tun, "pings") + ", " + count(tun, "pings_answered") + " answered; " + count(tun, "dns_queries") +
           " name queries; " + count(tun, "unreachable") + " packets answered as unreachable");
  line(out, "dropped", reasons(member(tun, "dropped")));
  const json& malformed = member(tun, "malformed");
  if (malformed.is_object() && !malformed.empty()) line(out, "malformed", reasons(malformed));
}

}  // namespace

std::string duration_text(double seconds) {
  constexpr double kMost = 1e15;  // JSON's numbers go up to 1e308
  const auto whole = static_cast<std::uint64_t>(std::fmin(std::fmax(seconds, 0.0), kMost));
  const auto two = [](std::uint64_t large, const char* unit, std::uint64_t small, const char* small_unit) {
    return std::to_string(large) + unit + (small > 0 ? " " + std::to_string(small) + small_unit : "");
  };
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3'600) return two(whole / 60, " min", whole % 60, " s");
  if (whole < 86'400) return two(whole / 3'600, " h", whole % 3'600 / 60, " min");
  return two(whole / 86'400, " d", whole % 86'400 / 3'600, " h");
}

std::string bytes_text(std::uint64_t value) {
  constexpr std::array<const char*, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (value < 1024) return std::to_string(value) + " B";
  double scaled = static_cast<double>(value) / 1024;
  std::size_t unit = 0;
  // 1023.95 and more would be shown as 1024.0.
  for (; scaled >= 1023.95 && unit + 1 < kUnits.size(); ++unit) scaled /= 1024;
  std::array<char, 32> out;
  std::snprintf(out.data(), out.size(), "%.1f %s", scaled, kUnits[unit]);
  return out.data();
}

std::string render_status(const json& status) {
  std::string out = "zks-tunnel-client " + text(status, "mode") + " " + text(status, "version") +
                    ", process " + count(status, "pid") + ", running for " +
                    duration(status, "uptime_seconds") + "\n\n";
  render_doors(out, member(status, "front_doors"));
  if (member(status, "metrics").is_string())
    line(out, "metrics", "http://" + text(status, "metrics") + "/metrics");
  if (member(status, "tun").is_object()) render_tun(out, member(status, "tun"));
  if (member(status, "client").is_object()) render_client(out, member(status, "client"));
  if (member(status, "exit").is_object()) render_exit(out, member(status, "exit"));
  return out;
}

}  // namespace zks::ops
