// SPDX-License-Identifier: MIT
//
// From a knock to a client that has proven who it is: dials the relay for the pair, answers message 1, and
// hands the lane on with its first authentic record. Before it: control_socket.hpp. After it:
// session_server.hpp.
//
// Bounds: half_open.hpp says how many lanes there are on the way and who gives way; a dial ends after 3 s, a
// lane that was dialled 10 s later without `paired`, and 5 s after that without an authentic record. What had
// to give way is gone at once. Message 1s are remembered (seen_ephemerals.hpp).
//
// Executor: one, given at construction. Lifetime: shared; what is on its way holds it.
#pragma once

#include <functional>
#include <memory>

#include "base/relay_url.hpp"
#include "carrier/dialler.hpp"
#include "crypto/x25519.hpp"
#include "exit/half_open.hpp"
#include "exit/proven_lane.hpp"
#include "exit/seen_ephemerals.hpp"
#include "tunnel/handshake.hpp"

namespace zks::exit {

namespace asio = boost::asio;

class Door : public std::enable_shared_from_this<Door> {
 public:
  // Called as long as the door exists.
  struct Handlers {
    tunnel::Authorize authorize;
    // The claim is authentic now: whether it may come in, by what holds at this moment.
    // Any error but kRefused says: later.
    std::function<carrier::Task<>(tunnel::Claim)> admit;
    std::function<Result<>(ProvenLane)> begin;
    std::function<void()> on_busy;                 // a knock was not answered
    std::function<void(const Error&)> on_refused;  // a lane came to nothing
  };

  Door(asio::any_io_executor executor, carrier::DiallerPtr dialler, RoomId room, crypto::KeyPair static_key,
       Handlers handlers);

  void on_knock(const RelayUrl& relay, const PairId& pair);

 private:
  using Slot = std::shared_ptr<HalfOpen::Slot>;

  static asio::awaitable<void> serve_pair(std::shared_ptr<Door> self, RelayUrl relay, PairId pair, Slot slot);
  carrier::Task<> make_lane(RelayUrl relay, PairId pair, Slot slot);
  carrier::Task<tunnel::Accepted> respond(carrier::Carrier& carrier, carrier::Paired paired, Slot slot);
  carrier::Task<> take_first_record(carrier::CarrierPtr carrier, tunnel::Accepted accepted,
                                    carrier::Buffer buffer);
  void refuse(const Error& error);

  asio::any_io_executor executor_;
  carrier::DiallerPtr dialler_;
  RoomId room_;
  crypto::KeyPair static_key_;
  Handlers handlers_;
  HalfOpen half_open_;
  SeenEphemerals seen_;
  TokenBucket log_lines_;
};

}  // namespace zks::exit
