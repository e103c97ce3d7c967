// SPDX-License-Identifier: MIT
#include "exit/door.hpp"

#include <algorithm>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "net/spawn.hpp"
#include "net/wakeup.hpp"
#include "tunnel/deadline.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using carrier::Task;

constexpr auto kDialWithin = 3s;         // as long as a relay waits for one instance
constexpr auto kPairTimeout = 10s;       // from our half to the relay's `paired`
constexpr auto kFirstRecordWithin = 5s;  // from there to the first authentic record

constexpr double kRefusalsLoggedASecond = 10;
constexpr double kRefusalsLoggedAtOnce = 200;

Error gave_way() {
  return make_error(ErrorKind::kLimit, "its place was needed before it had shown a record");
}

// A dial that can be left. Asio looks at the slot until it has called the handler, which therefore holds it.
struct Dialling {
  explicit Dialling(const asio::any_io_executor& executor) : changed(executor) {}
  asio::cancellation_signal cancel;
  net::Wakeup changed;
  bool over = false;
  std::optional<Result<carrier::CarrierPtr>> made;  // none: it was left
};

// A lane's carrier is not to be dropped by its slot once it has gone to somebody else, or died.
struct Leaving {
  std::shared_ptr<HalfOpen::Slot> slot;
  ~Leaving() { slot->leave(); }
};

Task<carrier::CarrierPtr> dial(asio::any_io_executor executor, RelayUrl relay, std::string target,
                               carrier::DiallerPtr dialler, std::shared_ptr<HalfOpen::Slot> slot) {
  const auto dialling = std::make_shared<Dialling>(executor);
  slot->on_drop([dialling] { dialling->cancel.emit(asio::cancellation_type::terminal); });
  // It is over before anything that takes memory: whoever waits goes on also when there is none.
  auto finished = [dialling](std::exception_ptr failure, Result<carrier::CarrierPtr> made) {
    dialling->over = true;
    dialling->changed.notify();
    try {
      if (failure) std::rethrow_exception(failure);
      dialling->made.emplace(std::move(made));
    } catch (const boost::system::system_error&) {
      // It was left.
    }
  };
  asio::co_spawn(executor, dialler->dial(executor, std::move(relay), std::move(target), kDialWithin),
                 asio::bind_cancellation_slot(dialling->cancel.slot(), std::move(finished)));
  while (!dialling->over) co_await dialling->changed.wait();
  slot->on_drop(nullptr);
  if (!dialling->made) co_return gave_way();
  co_return std::move(*dialling->made);
}

}  // namespace

Door::Door(asio::any_io_executor executor, carrier::DiallerPtr dialler, RoomId room,
           crypto::KeyPair static_key, Handlers handlers)
    : executor_(std::move(executor)),
      dialler_(std::move(dialler)),
      room_(room),
      static_key_(std::move(static_key)),
      handlers_(std::move(handlers)),
      log_lines_(kRefusalsLoggedASecond, kRefusalsLoggedAtOnce, std::chrono::steady_clock::now()) {}

void Door::on_knock(const RelayUrl& relay, const PairId& pair) {
  auto slot = half_open_.admit(relay.text(), std::chrono::steady_clock::now());
  if (!slot) return handlers_.on_busy();  // the relay asks the next instance, or the client again
  asio::co_spawn(executor_, serve_pair(shared_from_this(), relay, pair, std::move(slot)),
                 net::RethrowFailure{});
}

asio::awaitable<void> Door::serve_pair(std::shared_ptr<Door> self, RelayUrl relay, PairId pair, Slot slot) {
  if (slot->dropped()) {
    self->refuse(gave_way());
    co_return;
  }
  Slot held = slot;
  const auto made = co_await self->make_lane(std::move(relay), pair, std::move(held));
  if (!made) self->refuse(slot->dropped() ? gave_way() : made.error());
}

// What is logged about strangers is bounded: they don't fill a disk.
void Door::refuse(const Error& error) {
  handlers_.on_refused(error);
  if (!log_lines_.try_take(1, std::chrono::steady_clock::now())) return;
  log::info("a client did not get a session: {}", error.text);
}

// Nothing of the client is kept before its first record was authentic.
Task<> Door::make_lane(RelayUrl relay, PairId pair, Slot slot) {
  std::string target = "/v1/rooms/" + format_room(room_) + "/pairs/" + to_base64url(pair);
  auto dialled = co_await dial(executor_, std::move(relay), std::move(target), dialler_, slot);
  if (!dialled) co_return dialled.error();
  if (slot->dropped()) co_return gave_way();
  carrier::CarrierPtr carrier = std::move(*dialled);
  slot->dialled();
  slot->on_drop([raw = carrier.get()] { raw->abort(); });
  const Leaving guard{slot};
  tunnel::Deadline pair_deadline(*carrier, kPairTimeout);
  auto paired = co_await tunnel::read_paired(*carrier);
  if (!paired) co_return paired.error();
  pair_deadline.disarm();

  tunnel::Deadline deadline(*carrier, kFirstRecordWithin);
  auto accepted = co_await respond(*carrier, std::move(*paired), slot);
  if (!accepted) co_return accepted.error();
  carrier::Buffer record;
  const auto got = co_await tunnel::read_binary(*carrier, record);
  if (!got) co_return got.error();
  slot->leave();
  deadline.disarm();
  co_return co_await take_first_record(std::move(carrier), std::move(*accepted), std::move(record));
}

Task<tunnel::Accepted> Door::respond(carrier::Carrier& carrier, carrier::Paired paired, Slot slot) {
  PublicKey ephemeral{};
  tunnel::IsNew is_new = [this, &ephemeral](const PublicKey& shown) {
    ephemeral = shown;
    return !seen_.contains(shown);
  };
  tunnel::Authorize authorize = [this, &ephemeral, &slot](const tunnel::Claim& claim) {
    auto psk = handlers_.authorize(claim);
    if (psk) {
      seen_.remember(claim.invite, ephemeral);
      slot->named(claim.invite);
    }
    return psk;
  };
  auto accepted = co_await tunnel::respond(carrier, std::move(paired), room_, static_key_,
                                           std::move(authorize), std::move(is_new));
  co_return accepted;
}

Task<> Door::take_first_record(carrier::CarrierPtr carrier, tunnel::Accepted accepted,
                               carrier::Buffer buffer) {
  const std::size_t record_bytes = buffer.size();
  const MutableBytes record(static_cast<std::uint8_t*>(buffer.data().data()), record_bytes);
  const auto frames = accepted.keys.opener.open(record);
  if (!frames) {
    co_return make_error(ErrorKind::kRefused,
                         "the first record is not authentic (a wrong psk looks like this)");
  }
  // Here the client has shown that it holds the psk.
  const auto admitted = co_await handlers_.admit(accepted.claim);
  if (!admitted) {
    // Anything but a refusal is a trouble of this exit's: later.
    const bool refused = admitted.error().kind == ErrorKind::kRefused;
    const auto closed =
        co_await carrier->close(refused ? carrier::close_code::kForbidden : carrier::close_code::kGoingAway);
    (void)closed;
    co_return admitted.error();
  }
  co_return handlers_.begin({std::move(carrier), std::move(accepted), *frames, record_bytes});
}

}  // namespace zks::exit
