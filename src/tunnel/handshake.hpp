// SPDX-License-Identifier: MIT
//
// From a fresh carrier to lane keys (PROTOCOL.md, "The handshake"): the relay's `paired`, then Noise IKpsk2
// with a prologue that binds the room and the relay's key. Above: Lane. Below: crypto/noise.hpp,
// carrier/relay_control.hpp.
#pragma once

#include <functional>

#include "base/names.hpp"
#include "carrier/carrier.hpp"
#include "carrier/relay_control.hpp"
#include "crypto/noise.hpp"
#include "crypto/record.hpp"
#include "link/access_link.hpp"

namespace zks::tunnel {

inline constexpr std::uint8_t kProtocolVersion = 1;

// What a client says of every refusal; nothing tells one from another.
Error refused_by_exit();
// And of an exit that has a trouble of its own.
Error not_now();

struct LaneKeys {
  crypto::RecordSealer sealer;
  crypto::RecordOpener opener;
  std::uint64_t relay_window_bytes = 0;
};

// The relay's first message to both halves. kRefused for a close 4404, kClosed for other closes, kProtocol
// for any other message.
carrier::Task<carrier::Paired> read_paired(carrier::Carrier& carrier);

// The next binary message; relay marks are echoed and pongs ignored on the way.
carrier::Task<> read_binary(carrier::Carrier& carrier, carrier::Buffer& buffer);

// The client's side: both messages. kRefused when the exit's answer is not authentic: the link is revoked,
// expired or wrong, or not this exit's; nothing tells which. kClosed with 1001 when it says to try later.
carrier::Task<LaneKeys> initiate(carrier::Carrier& carrier, carrier::Paired paired,
                                 const link::AccessLink& link, const crypto::KeyPair& client_key);

// What the exit learns from message 1. The psk is proven only by the first record.
struct Claim {
  InviteId invite{};
  PublicKey client_key{};

  friend auto operator<=>(const Claim&, const Claim&) = default;
};

// The psk to answer a claim with. kRefused refuses it; any other error is a trouble of this exit's, and the
// client is told to try later.
using Authorize = std::function<Result<Key>(const Claim&)>;

// Whether a message 1 that begins with this ephemeral key may be looked at. Asked before anything is
// computed.
using IsNew = std::function<bool(const PublicKey& ephemeral)>;

struct Accepted {
  LaneKeys keys;
  Claim claim;
};

// The exit's side. A refusal sends random bytes of message 2's length, closes with 4403 and returns kRefused;
// a trouble closes with 1001 and is returned.
carrier::Task<Accepted> respond(carrier::Carrier& carrier, carrier::Paired paired, const RoomId& room,
                                const crypto::KeyPair& exit_key, Authorize authorize, IsNew is_new);

}  // namespace zks::tunnel
