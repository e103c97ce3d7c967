// SPDX-License-Identifier: MIT
//
// The relay's text messages (PROTOCOL.md, "The relay"): JSON objects with a `type`, at most 1 KiB, and the
// bare words `ping` and `pong`. Sans-IO: used by the relay, the client and the exit, and fuzzed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/names.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace zks::carrier {

inline constexpr std::size_t kMaxControlBytes = 1024;
// A mark's id: 1 to 64 characters of base64url, so that an echo needs no escaping.
inline constexpr std::size_t kMaxMarkIdBytes = 64;
// JSON numbers are doubles to JavaScript relays: integers stay below 2^53.
inline constexpr std::uint64_t kMaxControlInteger = (std::uint64_t{1} << 53) - 1;

struct Challenge {
  std::array<std::uint8_t, 32> nonce;
};  // relay to exit
struct Register {
  PublicKey room_key;
  std::array<std::uint8_t, 64> signature;
};                     // exit to relay
struct Registered {};  // relay to exit
struct Knock {
  PairId pair;
};  // relay to exit
struct Paired {
  std::uint64_t version;
  std::uint64_t epoch;
  Key remote_key;
  std::uint64_t window_bytes;
};  // to both halves
struct NewKey {
  std::uint64_t epoch;
  Key remote_key;
};  // {"type":"key"}, to both halves
struct KeySeen {
  std::uint64_t epoch;
};  // half to relay
struct Mark {
  std::string id;
};  // relay to half, echoed unchanged
struct Ping {};
struct Pong {};

using Control =
    std::variant<Challenge, Register, Registered, Knock, Paired, NewKey, KeySeen, Mark, Ping, Pong>;

// A Paired or NewKey text holds a key: whoever sends it wipes it afterwards.
std::string encode_control(const Control& message);
// kProtocol for anything that is not exactly one of the above. Unknown extra JSON members are ignored, a
// member that stands twice is refused.
Result<Control> decode_control(std::string_view text);

// What an exit signs to register: "zks/1 register" || nonce || SHA-256(authority) || room id || instance.
Bytes registration_message(const std::array<std::uint8_t, 32>& nonce, std::string_view authority,
                           const RoomId& room, const InstanceId& instance);

}  // namespace zks::carrier
