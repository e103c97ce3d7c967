// SPDX-License-Identifier: MIT
//
// The JSON in the files of the state directory, version 1, all binary values base64url without padding:
//
//   exit-identity.json  {"version":1, "room_seed":(32), "static_key":(32)}
//   client.json         {"version":1, "static_key":(32)}
//   relays.json         {"version":1, "relays":["wss://..."], "pin":(32)?}
//   invites.json        {"version":1, "invites":[{"id":(8), "name":"", "psk":(32), "created":0, "expires":0,
//                                                "max_devices":5, "devices":[(32)],
//                                                "terms":{"allow":[""]?, "deny":[""]?, "max_streams":1?,
//                                                         "stream_rate":1?, "rate":1?, "quota":1?}?}]}
//   usage.json          {"version":1, "used":{"ID":bytes}}
//
// Sans-IO: StateDirectory reads and writes the files. Decoding is strict but for members that are not known:
// a newer version may have written them, so they are passed over, and what is written again keeps those of
// `before`, the file that it replaces: beside the members above, in each invite and in its terms.
#pragma once

#include <string_view>
#include <vector>

#include "link/private_file.hpp"
#include "link/state_directory.hpp"

namespace zks::link {

inline constexpr const char* kIdentityFile = "exit-identity.json";
inline constexpr const char* kClientFile = "client.json";
inline constexpr const char* kRelaysFile = "relays.json";
inline constexpr const char* kInvitesFile = "invites.json";
inline constexpr const char* kUsageFile = "usage.json";
// Held by whoever writes one of the others; names the file of invites once there were some.
inline constexpr const char* kLockFile = "lock";

inline constexpr std::size_t kMaxIdentityFile = 4096;
inline constexpr std::size_t kMaxRelaysFile = 64 * 1024;
// kMaxInvites with kMaxDevices and kMaxRules each: 26 MiB.
inline constexpr std::size_t kMaxInvitesFile = 32 * 1024 * 1024;
inline constexpr std::size_t kMaxUsageFile = 256 * 1024;  // kMaxInvites: 40 KiB

// kIo, saying what is wrong; the caller adds the file's name.
Result<ExitIdentity> decode_exit_identity(std::string_view json);
Result<Key> decode_client_key(std::string_view json);
Result<RelayList> decode_relays(std::string_view json);
Result<std::vector<Invite>> decode_invites(std::string_view json);
Result<Usage> decode_usage(std::string_view json);

SecretText encode_exit_identity(const ExitIdentity& identity);
SecretText encode_client_key(const Key& key);
SecretText encode_relays(const RelayList& relays, std::string_view before = "");
SecretText encode_invites(const std::vector<Invite>& invites, std::string_view before = "");
SecretText encode_usage(const Usage& usage, std::string_view before = "");

// The public halves and the room of two secret keys. `room_seed` is Ed25519's seed.
ExitIdentity derive_exit_identity(const Key& room_seed, Key static_secret);

// 1 to 64 of [A-Za-z0-9._-]
bool valid_invite_name(std::string_view name);

}  // namespace zks::link
