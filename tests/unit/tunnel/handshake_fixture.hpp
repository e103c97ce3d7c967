// SPDX-License-Identifier: MIT
//
// A client, an exit and a relay between them that forwards, or alters one message: for handshakes and tunnels
// over the memory carrier.
#pragma once

#include <memory>
#include <optional>

#include "../support/run.hpp"
#include "carrier/memory.hpp"
#include "tunnel/handshake.hpp"

namespace zks::tunnel::test {

namespace asio = boost::asio;
using carrier::Buffer;
using carrier::Carrier;
using carrier::MemoryPair;
using carrier::MessageType;

inline Key filled_key(std::uint8_t value) {
  Key key;
  for (std::uint8_t& byte : key.mutable_view()) byte = value;
  return key;
}

inline carrier::Paired make_paired(std::uint8_t remote_key = 4) {
  return carrier::Paired{1, 0, filled_key(remote_key), 16 * 1024 * 1024};
}

struct Party {
  crypto::KeyPair client_key = crypto::KeyPair::generate();
  crypto::KeyPair exit_key = crypto::KeyPair::generate();
  RoomId room = {1, 2, 3};
  InviteId invite = {9, 9};
  Key psk = filled_key(5);

  link::AccessLink make_link() const {
    link::AccessLink out;
    out.room = room;
    out.exit_public_key = exit_key.public_key;
    out.invite = invite;
    out.psk = psk.clone();
    return out;
  }
  Authorize authorize() const {
    return [this](const Claim& claim) -> Result<Key> {
      if (claim.invite != invite || claim.client_key != client_key.public_key) {
        return make_error(ErrorKind::kRefused, "no");
      }
      return psk.clone();
    };
  }
};

// What the relay does to one message of one direction: flips bits of a byte, or cuts it.
struct Alteration {
  std::size_t message = SIZE_MAX;
  std::size_t byte = SIZE_MAX;
  std::size_t cut_at = SIZE_MAX;
};

// Forwards until one side is gone, and passes the close on.
inline asio::awaitable<void> forward(Carrier* from, Carrier* to, Alteration alteration) {
  Buffer buffer;
  for (std::size_t i = 0;; ++i) {
    const auto type = co_await from->read(buffer);
    if (!type) {
      if (type.error().detail == 0) {
        to->abort();
        co_return;
      }
      const auto closed = co_await to->close(static_cast<std::uint16_t>(type.error().detail));
      (void)closed;
      co_return;
    }
    const auto* begin = static_cast<const std::uint8_t*>(buffer.cdata().data());
    Bytes message(begin, begin + buffer.size());
    if (i == alteration.message) {
      if (alteration.byte < message.size()) message[alteration.byte] ^= 0x20;
      if (alteration.cut_at < message.size()) message.resize(alteration.cut_at);
    }
    const auto sent = co_await to->write(*type, message);
    if (!sent) co_return;
  }
}

struct Outcome {
  std::optional<Result<LaneKeys>> client;
  std::optional<Result<Accepted>> exit;
};

inline asio::awaitable<void> run_client(Carrier* carrier, const Party* party, carrier::Paired paired,
                                        Outcome* outcome) {
  const link::AccessLink link = party->make_link();
  auto keys = co_await initiate(*carrier, std::move(paired), link, party->client_key);
  outcome->client.emplace(std::move(keys));
  carrier->abort();  // the relay and the exit see the end
}

inline asio::awaitable<void> run_exit(Carrier* carrier, const Party* party, carrier::Paired paired,
                                      RoomId room, Authorize authorize, IsNew is_new, Outcome* outcome) {
  auto accepted = co_await respond(*carrier, std::move(paired), room, party->exit_key, std::move(authorize),
                                   std::move(is_new));
  outcome->exit.emplace(std::move(accepted));
}

// One handshake through a relay that alters what it is told to.
struct Handshake {
  Party party;
  RoomId exits_room = party.room;
  std::uint8_t exits_remote_key = 4;
  Authorize authorize = party.authorize();
  IsNew is_new = [](const PublicKey&) { return true; };
  Alteration to_exit;
  Alteration to_client;

  Outcome run() const {
    asio::io_context io;
    const MemoryPair client = carrier::make_memory_pair(io.get_executor());
    const MemoryPair exit = carrier::make_memory_pair(io.get_executor());
    Outcome outcome;
    zks::test::run(io, run_client(client.first.get(), &party, make_paired(), &outcome),
                   run_exit(exit.second.get(), &party, make_paired(exits_remote_key), exits_room, authorize,
                            is_new, &outcome),
                   forward(client.second.get(), exit.first.get(), to_exit),
                   forward(exit.first.get(), client.second.get(), to_client));
    return outcome;
  }
};

}  // namespace zks::tunnel::test
