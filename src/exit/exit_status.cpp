// SPDX-License-Identifier: MIT
#include "exit/exit_status.hpp"

#include <algorithm>

namespace zks::exit {

using tunnel::Json;
using tunnel::to_seconds;

const char* name_of(ClientRefusal reason) {
  switch (reason) {
    case ClientRefusal::kBusy:
      return "busy";
    case ClientRefusal::kNotInvited:
      return "not_invited";
    case ClientRefusal::kLimit:
      return "limit";
    case ClientRefusal::kTimeout:
      return "timeout";
    case ClientRefusal::kGone:
      return "gone";
    case ClientRefusal::kProtocol:
      return "protocol";
    case ClientRefusal::kFault:
      return "fault";
    case ClientRefusal::kNetwork:
      break;
  }
  return "network";
}

ClientRefusal refusal_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kRefused:
    case ErrorKind::kUntrusted:
      return ClientRefusal::kNotInvited;
    case ErrorKind::kLimit:
      return ClientRefusal::kLimit;
    case ErrorKind::kTimeout:
      return ClientRefusal::kTimeout;
    case ErrorKind::kClosed:
      return ClientRefusal::kGone;
    case ErrorKind::kProtocol:
      return ClientRefusal::kProtocol;
    case ErrorKind::kIo:
    case ErrorKind::kUsage:
      return ClientRefusal::kFault;
    default:
      return ClientRefusal::kNetwork;
  }
}

const char* name_of(session::ResetCode code) {
  constexpr std::array<const char*, kResetCodes> kNames = {
      "cancelled",           "general_failure",       "not_allowed",
      "network_unreachable", "host_unreachable",      "connection_refused",
      "timed_out",           "command_not_supported", "address_not_supported",
      "name_not_found",      "connection_reset",      "limit",
      "session_lost",        "quota_used_up",         "address_in_use"};
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "other";
}

const char* ExitStatus::state() const {
  if (stopping) return "stopping";
  if (registered_relays() == 0) return "connecting";
  return faults.empty() ? "up" : "degraded";
}

std::size_t ExitStatus::registered_relays() const {
  return static_cast<std::size_t>(
      std::count_if(relays.begin(), relays.end(), [](const auto& relay) { return relay.registered; }));
}

std::size_t ExitStatus::orphans() const {
  return static_cast<std::size_t>(std::count_if(sessions.begin(), sessions.end(),
                                                [](const auto& session) { return session.tunnel.orphaned; }));
}

namespace {

Json to_json(const RelayLinkStatus& relay) {
  return {{"relay_url", relay.path.relay},
          {"registered", relay.registered},
          {"state_seconds", to_seconds(relay.state_age)},
          {"state_since", tunnel::utc_before_now(relay.state_age)},
          {"registrations", relay.registrations},
          {"last_error", tunnel::to_json(relay.trouble)},
          {"path", relay.registered ? tunnel::to_json(relay.path) : Json()}};
}

Json to_json(const SessionStatus& session) {
  Json out = tunnel::to_json(session.tunnel);
  out["invite"] = session.invite;
  out["connecting_streams"] = session.connecting;
  out["listeners"] = session.listeners;
  out["invite_streams"] = session.invite_streams;
  out["invite_used_bytes"] = session.invite_used_bytes;
  out["invite_quota_bytes"] = session.invite_quota_bytes == 0 ? Json() : Json(session.invite_quota_bytes);
  return out;
}

// Reasons that never came up are left out.
template <class Reason, std::size_t N>
Json by_reason(const std::array<std::uint64_t, N>& counts) {
  Json out = Json::object();
  for (std::size_t i = 0; i < N; ++i) {
    if (counts[i] > 0) out[name_of(static_cast<Reason>(i))] = counts[i];
  }
  return out;
}

}  // namespace

Json to_json(const ExitStatus& status) {
  Json relays = Json::array();
  for (const auto& relay : status.relays) relays.push_back(to_json(relay));
  Json sessions = Json::array();
  for (const auto& session : status.sessions) {
    if (sessions.size() < kMaxListedSessions) sessions.push_back(to_json(session));
  }
  const ExitTally& tally = status.tally;
  return {{"state", status.state()},
          {"faults", status.faults},
          {"room", format_room(status.room)},
          {"instance", to_base64url(status.instance)},
          {"relays", std::move(relays)},
          {"max_sessions", status.max_sessions},
          {"live_sessions", status.sessions.size()},
          {"orphans", status.orphans()},
          {"sessions", std::move(sessions)},
          {"counters",
           {{"knocks", tally.knocks},
            {"sessions", status.served.begun},
            {"resumes", status.served.resumed},
            {"connected_streams", status.streams.connected_streams},
            {"refused_clients", by_reason<ClientRefusal>(tally.refused_clients)},
            {"failed_streams", by_reason<session::ResetCode>(status.streams.failed_streams)}}},
          {"traffic", tunnel::to_json(status.traffic)}};
}

}  // namespace zks::exit
