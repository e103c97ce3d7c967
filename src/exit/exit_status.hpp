// SPDX-License-Identifier: MIT
//
// How an exit peer is doing, as plain numbers (ExitPeer::status()): the relays that it is registered with,
// who is connected, and what has been counted since it started. Users appear by the names of their invites;
// where they connect to does not appear at all. exit_status.cpp writes it for the control socket, the
// program as metrics.
//
// What is counted as it goes has bounded sets of reasons. StreamServer counts streams, SessionServer
// sessions, ExitPeer what came of knocks.
#pragma once

#include <array>
#include <string_view>

#include "base/relay_url.hpp"
#include "session/destination.hpp"
#include "tunnel/status.hpp"

namespace zks::exit {

// Why a client that knocked got no session. Which of a stranger's claims was wrong is not told apart here
// either.
enum class ClientRefusal : std::uint8_t {
  kBusy,
  kNotInvited,
  kLimit,
  kTimeout,
  kGone,
  kProtocol,
  kNetwork,
  kFault
};
inline constexpr std::size_t kClientRefusals = 8;
inline constexpr std::size_t kResetCodes = 15;

const char* name_of(ClientRefusal reason);
const char* name_of(session::ResetCode code);  // for a label: "not_allowed"
ClientRefusal refusal_of(const Error& error);

struct StreamTally {
  std::uint64_t connected_streams = 0;
  std::array<std::uint64_t, kResetCodes> failed_streams{};  // by reset code; refused datagrams, too

  void fail_stream(session::ResetCode code) {
    const auto index = static_cast<std::size_t>(code);
    ++failed_streams[index < kResetCodes ? index : 1];
  }
};

struct SessionTally {
  std::uint64_t begun = 0;
  std::uint64_t resumed = 0;
  tunnel::Traffic over;  // of sessions that have ended
};

struct ExitTally {
  std::uint64_t knocks = 0;
  std::array<std::uint64_t, kClientRefusals> refused_clients{};

  void refuse(const Error& error) { ++refused_clients[static_cast<std::size_t>(refusal_of(error))]; }
  void refuse(ClientRefusal reason) { ++refused_clients[static_cast<std::size_t>(reason)]; }
};

// One control socket.
struct RelayLinkStatus {
  carrier::Path path;  // with the URL alone while it is not connected
  bool registered = false;
  tunnel::Age state_age{};
  std::uint64_t registrations = 0;
  std::optional<tunnel::Trouble> trouble;
};

struct SessionStatus {
  std::string invite;  // its name; empty when the invite is gone
  std::size_t connecting = 0;
  std::size_t listeners = 0;         // that the client has here, for its -R
  std::uint64_t invite_streams = 0;  // of all sessions of the invite
  std::uint64_t invite_used_bytes = 0;
  std::uint64_t invite_quota_bytes = 0;  // 0: none
  tunnel::TunnelStatus tunnel;
};

struct ExitStatus {
  RoomId room{};
  InstanceId instance{};
  bool stopping = false;
  tunnel::Age age{};
  std::size_t max_sessions = 0;
  std::vector<RelayLinkStatus> relays;
  std::vector<SessionStatus> sessions;
  ExitTally tally;
  SessionTally served;
  StreamTally streams;
  std::vector<std::string> faults;  // fault.hpp
  tunnel::Traffic traffic;          // of all sessions

  // stopping, connecting (no relay has it), degraded (there are faults) or up.
  const char* state() const;
  std::size_t registered_relays() const;
  std::size_t orphans() const;
};

// Of the sessions it lists this many, so that an answer stays within bounds; the sums are over all.
inline constexpr std::size_t kMaxListedSessions = 1'000;
tunnel::Json to_json(const ExitStatus& status);

}  // namespace zks::exit
