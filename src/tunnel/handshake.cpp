// SPDX-License-Identifier: MIT
#include "tunnel/handshake.hpp"

namespace zks::tunnel {
namespace {

using carrier::Buffer;
using carrier::Carrier;
using carrier::MessageType;
using carrier::Paired;
using carrier::Task;

constexpr std::size_t kMaxHandshakeMessage = 1024;
constexpr std::size_t kMessage2Bytes = 32 + 16 + 2;  // e, payload of version and capabilities, tag

ByteView view(const Buffer& buffer) {
  return {static_cast<const std::uint8_t*>(buffer.cdata().data()), buffer.size()};
}

// "zks/1" || room id || SHA-256(Key_remote of epoch 0): halves that were given different rooms or keys fail
// here.
Bytes make_prologue(const RoomId& room, const Key& remote_key) {
  constexpr std::string_view kLabel = "zks/1";
  Bytes prologue(kLabel.size() + RoomId{}.size() + Digest{}.size());
  ByteWriter out(prologue);
  out.bytes(as_bytes(kLabel));
  out.bytes(room);
  out.bytes(sha256(remote_key.view()));
  return prologue;
}

// version (1) || invite id (8) || capabilities varint
Bytes encode_message1(const InviteId& invite) {
  Bytes payload(10);
  ByteWriter out(payload);
  out.u8(kProtocolVersion);
  out.bytes(invite);
  out.varint(0);
  return payload;
}

std::optional<InviteId> decode_message1(ByteView payload) {
  ByteReader in(payload);
  const auto version = in.u8();
  const auto invite = in.array<8>();
  const auto capabilities = in.varint();
  if (!version || *version != kProtocolVersion || !invite || !capabilities || !in.empty())
    return std::nullopt;
  return *invite;
}

// Message 1 begins with it (Noise revision 34, section 7.5).
std::optional<PublicKey> ephemeral_of(ByteView message1) {
  ByteReader in(message1);
  return in.array<32>();
}

bool decode_message2(ByteView payload) {
  ByteReader in(payload);
  const auto version = in.u8();
  return version && *version == kProtocolVersion && in.varint() && in.empty();
}

LaneKeys make_lane_keys(crypto::TransportKeys keys, const Paired& paired, bool client) {
  Key& outbound = client ? keys.initiator_to_responder : keys.responder_to_initiator;
  Key& inbound = client ? keys.responder_to_initiator : keys.initiator_to_responder;
  const auto out = client ? Direction::kClientToExit : Direction::kExitToClient;
  const auto in = client ? Direction::kExitToClient : Direction::kClientToExit;
  return {crypto::RecordSealer(std::move(outbound), out, keys.handshake_hash, paired.remote_key),
          crypto::RecordOpener(std::move(inbound), in, keys.handshake_hash, paired.remote_key),
          paired.window_bytes};
}

Error closed_before_pairing(const Error& error) {
  if (error.kind != ErrorKind::kClosed) return error;
  switch (error.detail) {
    case carrier::close_code::kNoExit:
      return make_error(ErrorKind::kRefused,
                        "no exit peer is registered in this room; start it, or check that it uses this relay",
                        error.detail);
    case carrier::close_code::kPairGone:
      return make_error(ErrorKind::kClosed, "the pair was already gone", error.detail);
    default:
      return make_error(ErrorKind::kClosed, "the relay closed the connection before pairing", error.detail);
  }
}

Task<Accepted> refuse(Carrier& carrier) {
  Bytes noise(kMessage2Bytes);
  fill_random(noise);
  // Whether it arrives makes no difference to us, and the result must not depend on it.
  const auto sent = co_await carrier.write(MessageType::kBinary, noise);
  if (sent) {
    const auto closed = co_await carrier.close(carrier::close_code::kForbidden);
    (void)closed;
  }
  co_return make_error(ErrorKind::kRefused, "a client was refused");
}

Task<Accepted> send_away(Carrier& carrier, Error trouble) {
  const auto closed = co_await carrier.close(carrier::close_code::kGoingAway);
  (void)closed;
  co_return trouble;
}

}  // namespace

Error refused_by_exit() {
  return make_error(ErrorKind::kRefused,
                    "refused by the exit: the link is revoked, expired or wrong, or not this exit's",
                    carrier::close_code::kForbidden);
}

Error not_now() {
  return make_error(
      ErrorKind::kClosed,
      "the exit lets nobody new in at the moment: it is stopping, or its operator has to look at it",
      carrier::close_code::kGoingAway);
}

Task<Paired> read_paired(Carrier& carrier) {
  Buffer buffer;
  const auto type = co_await carrier.read(buffer);
  if (!type) co_return closed_before_pairing(type.error());
  if (*type != MessageType::kText) co_return make_error(ErrorKind::kProtocol, "the relay did not pair us");
  auto control = carrier::decode_control(as_text(view(buffer)));
  if (!control) co_return control.error();
  auto* paired = std::get_if<Paired>(&*control);
  if (paired == nullptr || paired->epoch != 0) {
    co_return make_error(ErrorKind::kProtocol, "the relay did not pair us");
  }
  if (paired->version != kProtocolVersion) {
    co_return make_error(ErrorKind::kProtocol, "the relay speaks another version of the protocol");
  }
  co_return std::move(*paired);
}

Task<> read_binary(Carrier& carrier, Buffer& buffer) {
  for (;;) {
    const auto type = co_await carrier.read(buffer);
    if (!type) co_return type.error();
    if (*type == MessageType::kBinary) co_return Result<>();
    auto control = carrier::decode_control(as_text(view(buffer)));
    if (!control) co_return control.error();
    if (const auto* mark = std::get_if<carrier::Mark>(&*control)) {
      const std::string echo = carrier::encode_control(*mark);
      const auto sent = co_await carrier.write(MessageType::kText, as_bytes(echo));
      if (!sent) co_return sent.error();
    } else if (!std::holds_alternative<carrier::Pong>(*control)) {
      co_return make_error(ErrorKind::kProtocol, "unexpected relay message during the handshake");
    }
  }
}

Task<LaneKeys> initiate(Carrier& carrier, Paired paired, const link::AccessLink& link,
                        const crypto::KeyPair& client_key) {
  crypto::HandshakeOptions options;
  options.initiator = true;
  options.prologue = make_prologue(link.room, paired.remote_key);
  options.local_static = client_key.clone();
  options.remote_static = link.exit_public_key;
  options.psk = link.psk.clone();
  crypto::HandshakeState handshake(std::move(options));

  const Bytes payload = encode_message1(link.invite);
  const auto message1 = handshake.write_message(payload);
  if (!message1) co_return message1.error();
  const auto sent = co_await carrier.write(MessageType::kBinary, *message1);
  if (!sent) co_return sent.error();

  Buffer buffer;
  const auto got = co_await read_binary(carrier, buffer);
  if (!got) {
    if (got.error().detail == carrier::close_code::kForbidden) co_return refused_by_exit();
    if (got.error().detail == carrier::close_code::kGoingAway) co_return not_now();
    co_return got.error();
  }
  const auto answer = handshake.read_message(view(buffer));
  if (!answer || !decode_message2(*answer)) co_return refused_by_exit();
  auto keys = handshake.split();
  if (!keys) co_return keys.error();
  co_return make_lane_keys(std::move(*keys), paired, true);
}

Task<Accepted> respond(Carrier& carrier, Paired paired, const RoomId& room, const crypto::KeyPair& exit_key,
                       Authorize authorize, IsNew is_new) {
  Buffer buffer;
  const auto got = co_await read_binary(carrier, buffer);
  if (!got) co_return got.error();
  const auto ephemeral = ephemeral_of(view(buffer));
  if (!ephemeral || !is_new(*ephemeral)) co_return co_await refuse(carrier);

  crypto::HandshakeOptions options;
  options.prologue = make_prologue(room, paired.remote_key);
  options.local_static = exit_key.clone();
  crypto::HandshakeState handshake(std::move(options));
  std::optional<Claim> claim;
  if (buffer.size() <= kMaxHandshakeMessage) {
    const auto payload = handshake.read_message(view(buffer));
    if (payload) {
      if (const auto invite = decode_message1(*payload)) claim = Claim{*invite, handshake.remote_static()};
    }
  }
  if (!claim) co_return co_await refuse(carrier);
  Result<Key> psk = authorize(*claim);
  if (!psk && psk.error().kind != ErrorKind::kRefused) co_return co_await send_away(carrier, psk.error());
  if (!psk) co_return co_await refuse(carrier);

  handshake.set_psk(std::move(*psk));
  const Bytes payload = {kProtocolVersion, 0};
  const auto message2 = handshake.write_message(payload);
  if (!message2) co_return message2.error();
  const auto sent = co_await carrier.write(MessageType::kBinary, *message2);
  if (!sent) co_return sent.error();
  auto keys = handshake.split();
  if (!keys) co_return keys.error();
  co_return Accepted{make_lane_keys(std::move(*keys), paired, false), *claim};
}

}  // namespace zks::tunnel
