// SPDX-License-Identifier: MIT
#include "tunnel/dial_lane.hpp"

#include <vector>

#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "net/spawn.hpp"
#include "net/wakeup.hpp"
#include "tunnel/deadline.hpp"

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kPairTimeout = 15s;  // the relay waits 10 s for the exit's half
constexpr auto kHandshakeTimeout = 10s;
constexpr auto kNextRelayAfter = 2'500ms;

// The relays of one dial. They own it together, so that a late one finds it when the dial is over.
struct RelayRace {
  explicit RelayRace(const asio::any_io_executor& executor) : changed(executor) {}
  net::Wakeup changed;
  std::optional<FreshLane> first;
  std::vector<Error> failures;
  std::size_t under_way = 0;
  bool over = false;
};
using RelayRacePtr = std::shared_ptr<RelayRace>;

struct RaceGuard {
  RelayRacePtr race;
  ~RaceGuard() { race->over = true; }
};

Error too_late() {
  return make_error(ErrorKind::kClosed, "another relay was faster");
}

carrier::Task<FreshLane> dial_by(asio::any_io_executor executor, RelayRacePtr race,
                                 std::shared_ptr<const LaneSource> source, std::size_t relay,
                                 std::optional<InstanceId> instance) {
  const RelayUrl& url = source->link.relays[relay];
  log::debug("dialling {}", url.text());
  std::string target = "/v1/rooms/" + format_room(source->link.room) + "/client";
  if (instance) target += "?instance=" + to_base64url(*instance);
  auto dialled = co_await source->dialler->dial(executor, url, target, carrier::kDialWithin);
  if (!dialled) co_return dialled.error();
  if (race->over) co_return too_late();
  carrier::CarrierPtr carrier = std::move(*dialled);
  Deadline pair_deadline(*carrier, kPairTimeout);
  auto paired = co_await read_paired(*carrier);
  if (pair_deadline.expired())
    co_return make_error(ErrorKind::kTimeout, "the exit peer did not come in time");
  if (!paired) co_return paired.error();
  pair_deadline.disarm();
  if (race->over) co_return too_late();
  Deadline deadline(*carrier, kHandshakeTimeout);
  auto keys = co_await initiate(*carrier, std::move(*paired), source->link, source->key);
  if (deadline.expired()) co_return make_error(ErrorKind::kTimeout, "the exit did not answer the handshake");
  if (!keys) co_return keys.error();
  co_return FreshLane{std::move(carrier), std::move(*keys), relay};
}

asio::awaitable<void> try_relay(asio::any_io_executor executor, RelayRacePtr race,
                                std::shared_ptr<const LaneSource> source, std::size_t relay,
                                std::optional<InstanceId> instance) {
  auto fresh = co_await dial_by(executor, race, std::move(source), relay, instance);
  --race->under_way;
  if (race->over) co_return;
  if (!fresh) {
    race->failures.push_back(fresh.error());
  } else if (!race->first) {
    race->first.emplace(std::move(*fresh));
  }
  race->changed.notify();
}

}  // namespace

bool is_final(const Error& error) {
  constexpr int kTooManyRequests = 429;
  switch (error.kind) {
    case ErrorKind::kUsage:
    case ErrorKind::kUntrusted:
      return true;
    case ErrorKind::kRefused:  // an exit that is not there yet is waited for, as a relay is
      return error.detail != kTooManyRequests && error.detail != carrier::close_code::kNoExit &&
             (error.detail < 500 || error.detail > 599);
    default:
      return false;
  }
}

carrier::Task<FreshLane> dial_lane(asio::any_io_executor executor, std::shared_ptr<const LaneSource> source,
                                   std::size_t first, std::function<std::optional<InstanceId>()> instance) {
  const auto race = std::make_shared<RelayRace>(executor);
  const RaceGuard guard{race};
  const std::size_t count = source->link.relays.size();
  std::size_t started = 0;
  auto next_start = steady_clock::now();
  while (!race->first) {
    if (started < count && (race->under_way == 0 || steady_clock::now() >= next_start)) {
      next_start = steady_clock::now() + kNextRelayAfter;
      ++race->under_way;
      asio::co_spawn(executor, try_relay(executor, race, source, (first + started++) % count, instance()),
                     net::RethrowFailure{});
      continue;
    }
    if (race->under_way == 0) break;
    co_await race->changed.wait_until(started < count ? next_start : steady_clock::time_point::max());
  }
  if (race->first) co_return std::move(*race->first);
  for (const Error& error : race->failures) {
    if (!is_final(error)) co_return error;
  }
  co_return race->failures.front();
}

}  // namespace zks::tunnel
