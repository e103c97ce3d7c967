// SPDX-License-Identifier: MIT
//
// Transfers, and what happens to relays, exits and networks meanwhile, drawn from a seed. A seed that fails
// is run again by ZKS_SIM_SEED=N.
#include <map>
#include <sstream>

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "../unit/support/seeds.hpp"
#include "transfer.hpp"

namespace zks::sim {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTroubleWithin = 60s;  // whatever happens begins and ends within this
constexpr milliseconds kDialledWithin = 16s;  // both ends dial every 15 s at the least, --reconnect-max
constexpr milliseconds kServedWithin = 10s;   // then a new stream is there, and over
constexpr milliseconds kOverWithin = 300s;    // and all transfers are over
constexpr milliseconds kForgottenWithin = 5s;
constexpr std::uint64_t kSlowPath = 200'000;  // bytes a second

enum class Fault : std::uint8_t { kStop, kFreeze, kCut, kForgetExits, kOtherNetwork, kKillExit };
constexpr std::uint64_t kFaults = 6;
constexpr std::uint64_t kMostTransfers = 64;

struct Event {
  milliseconds at{0};
  Fault fault{};
  std::string relay;
  milliseconds lasts{0};
};

struct Schedule {
  WorldOptions world;
  milliseconds delay{0};
  std::uint64_t bytes_per_second = 0;
  std::vector<Transfer::Plan> transfers;
  std::vector<Event> events;
  bool kills_exit = false;
};

Schedule draw_schedule(std::uint64_t seed) {
  Dice dice(seed);
  Schedule out;
  out.world.seed = seed;
  out.world.relays = dice.between(1, 2);
  out.world.lanes = dice.one_in(2) ? 1 : dice.between(2, 3);
  out.world.renew_after = std::chrono::seconds(dice.one_in(2) ? 3'600 : dice.between(2, 20));
  out.world.control_refresh = milliseconds(dice.one_in(2) ? 0 : dice.between(1'000, 20'000));
  out.delay = milliseconds(dice.one_in(3) ? 0 : dice.between(1, 150));
  out.bytes_per_second = dice.between(50'000, 5'000'000);
  // A new lane is a second's worth of such a path.
  if (out.bytes_per_second < kSlowPath)
    out.world.renew_after = std::max<std::chrono::seconds>(out.world.renew_after, 10s);
  out.world.rotate_bytes = dice.one_in(2) ? std::uint64_t{1} << 30 : dice.between(10'000, 200'000);
  out.world.rotate_after = std::chrono::seconds(dice.one_in(2) ? 600 : dice.between(1, 20));
  for (std::uint64_t i = dice.between(1, 4); i > 0; --i) {
    Transfer::Plan plan;
    plan.number = seed * kMostTransfers + i;
    plan.at = milliseconds(dice.between(0, 50'000));
    plan.up = dice.one_in(4) ? 0 : dice.between(1, 300'000);
    plan.down = dice.one_in(4) ? 0 : dice.between(1, 300'000);
    plan.longest_pause = milliseconds(dice.one_in(2) ? 0 : dice.between(1, 2'000));
    out.transfers.push_back(plan);
  }
  for (std::uint64_t i = dice.between(0, 6); i > 0; --i) {
    Event event;
    event.at = milliseconds(dice.between(0, 40'000));
    event.fault = static_cast<Fault>(dice.between(0, kFaults - 1));
    // An exit that is gone resets what it had; so only one seed in three has that.
    if (event.fault == Fault::kKillExit && !dice.one_in(3)) event.fault = Fault::kCut;
    event.relay = relay_name(dice.between(0, out.world.relays - 1));
    event.lasts = milliseconds(dice.between(100, 20'000));
    out.kills_exit = out.kills_exit || event.fault == Fault::kKillExit;
    out.events.push_back(event);
    // Streams that begin and end while it happens.
    for (std::uint64_t j = dice.between(0, 8); j > 0; --j) {
      Transfer::Plan plan;
      plan.number = seed * kMostTransfers + out.transfers.size() + 1;
      plan.at = event.at - std::min(event.at, milliseconds(dice.between(0, 500)));
      plan.up = dice.between(0, 2'000);
      plan.down = dice.between(0, 2'000);
      out.transfers.push_back(plan);
    }
  }
  return out;
}

std::string describe(const Schedule& schedule) {
  std::ostringstream out;
  out << schedule.world.relays << " relays, " << schedule.world.lanes << " lanes renewed every "
      << schedule.world.renew_after / 1s << " s, a path of " << schedule.delay / 1ms << " ms and "
      << schedule.bytes_per_second / 1'000 << " kB/s, keys for " << schedule.world.rotate_bytes
      << " bytes and " << schedule.world.rotate_after / 1s << " s, " << schedule.events.size() << " events";
  return out.str();
}

class Play {
 public:
  explicit Play(Schedule schedule)
      : schedule_(std::move(schedule)),
        world_(schedule_.world, [this](const std::string& name, World::Target socket) {
          transfers_.at(name)->serve(std::move(socket));
        }) {
    for (std::size_t i = 0; i < schedule_.world.relays; ++i)
      world_.relays->set_path(relay_name(i), schedule_.delay, schedule_.bytes_per_second);
    for (const auto& plan : schedule_.transfers) add(plan);
  }

  void run() {
    world_.start_exit();
    world_.start_client();
    for (const auto& [name, transfer] : transfers_) transfer->start();
    for (const Event& event : schedule_.events) later(event.at, [this, event] { begin(event); });
    VirtualTime::run_for(world_.loop, kTroubleWithin + kDialledWithin);
    look_after_all_is_well();
    EXPECT_TRUE(world_.until([this] { return are_over(); }, kOverWithin)) << "some transfers hang";
    for (const auto& [name, transfer] : transfers_) judge(*transfer);
    EXPECT_TRUE(world_.until([this] { return nothing_is_held(); }, kForgottenWithin))
        << "of streams that are over";
  }

  // What happened, with its time: the same for the same seed.
  std::string history() {
    std::ostringstream out;
    const auto status = world_.client->status();
    for (const auto& [name, transfer] : transfers_) out << name << static_cast<int>(transfer->state()) << ' ';
    out << world_.sessions << ' ' << status.counters.lanes_lost << ' ' << status.counters.failed_attempts
        << ' ' << status.counters.renewals << ' ' << world_.relays->keys() << ' '
        << (steady_clock::now() - began_).count();
    for (std::size_t i = 0; i < schedule_.world.relays; ++i)
      out << ' ' << world_.relays->dials(relay_name(i)) << ' ' << world_.relays->pairs(relay_name(i));
    return out.str();
  }

 private:
  void add(const Transfer::Plan& plan) {
    const auto transfer = std::make_shared<Transfer>(world_, plan);
    transfers_[transfer->name()] = transfer;
  }

  void later(milliseconds pause, std::function<void()> what) {
    const auto timer = std::make_shared<asio::steady_timer>(world_.loop, pause);
    timer->async_wait([timer, what = std::move(what)](const boost::system::error_code&) { what(); });
  }

  void begin(const Event& event) {
    MemoryRelays& relays = *world_.relays;
    const std::string& relay = event.relay;
    switch (event.fault) {
      case Fault::kStop:
        relays.stop(relay);
        later(event.lasts, [&relays, relay] { relays.start(relay); });
        break;
      case Fault::kFreeze:
        relays.freeze(relay, true);
        later(event.lasts, [&relays, relay] { relays.freeze(relay, false); });
        break;
      case Fault::kCut:
        relays.cut(relay);
        break;
      case Fault::kForgetExits:
        relays.cut_exits(relay);
        break;
      case Fault::kOtherNetwork:
        relays.cut(relay);
        world_.client->network_changed();
        world_.exit->network_changed();
        break;
      case Fault::kKillExit:
        world_.kill_exit();
        world_.start_exit();
        break;
    }
  }

  // A promise of time: whatever was the matter, a while after its end a user's next stream works.
  void look_after_all_is_well() {
    Transfer::Plan plan;
    plan.number = schedule_.world.seed * kMostTransfers;
    plan.up = plan.down = 1'000;
    add(plan);
    const auto probe = transfers_.at("t" + std::to_string(plan.number));
    probe->start();
    const auto began = steady_clock::now();
    (void)world_.until([&] { return probe->is_over(); }, kServedWithin);
    EXPECT_EQ(probe->state(), Transfer::State::kComplete)
        << "a new stream, after " << (steady_clock::now() - began) / 1ms << " ms";
  }

  bool are_over() const {
    return std::ranges::all_of(transfers_, [](const auto& one) { return one.second->is_over(); });
  }

  // Neither end has a stream, or a byte of one.
  bool nothing_is_held() const {
    const auto is_empty = [](const tunnel::TunnelStatus& session) {
      return session.known_streams == 0 && session.memory_bytes == 0;
    };
    const auto at_client = world_.client->status().session;
    const auto at_exit = world_.exit->status().sessions;
    return (!at_client || is_empty(*at_client)) &&
           std::ranges::all_of(at_exit, [&](const auto& session) { return is_empty(session.tunnel); });
  }

  void judge(const Transfer& transfer) const {
    using State = Transfer::State;
    EXPECT_NE(transfer.state(), State::kWrong) << transfer.name();
    // Nobody's bytes are lost, and nobody's stream is reset, but by an exit that is gone.
    if (!schedule_.kills_exit) {
      EXPECT_NE(transfer.state(), State::kBroken) << transfer.name();
    }
    // It waits 10 s for a session; an outage may last longer.
    if (schedule_.events.empty()) {
      EXPECT_EQ(transfer.state(), State::kComplete) << transfer.name();
    }
  }

  Schedule schedule_;
  const steady_clock::time_point began_ = steady_clock::now();
  std::map<std::string, std::shared_ptr<Transfer>> transfers_;
  World world_;
};

std::string play(std::uint64_t seed) {
  const Schedule schedule = draw_schedule(seed);
  SCOPED_TRACE("seed " + std::to_string(seed) + ": " + describe(schedule));
  Play one(schedule);
  one.run();
  return one.history();
}

// Seeds are dealt out, so that processors can share them.
constexpr std::uint64_t kShares = 40;

class Schedules : public testing::TestWithParam<std::uint64_t> {
 protected:
  void SetUp() override {
    level_ = spdlog::get_level();
    spdlog::set_level(spdlog::level::off);
  }
  void TearDown() override { spdlog::set_level(level_); }

  spdlog::level::level_enum level_{};
};

TEST_P(Schedules, KeepEveryByteAndLeaveNothingBehind) {
  const std::uint64_t one = test::from_environment("ZKS_SIM_SEED", 0);
  const std::uint64_t first = one == 0 ? 1 + GetParam() : one;
  const std::uint64_t last = one == 0 ? test::from_environment("ZKS_SIM_SEEDS", 200) : one;
  if (one != 0) spdlog::set_level(level_);  // what happens is to be seen
  for (std::uint64_t seed = first; seed <= last; seed += kShares) {
    (void)play(seed);
    ASSERT_FALSE(HasFailure()) << "replay with ZKS_SIM_SEED=" << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Share, Schedules, testing::Range<std::uint64_t>(0, kShares));

TEST(Schedule, IsTheSameForTheSameSeed) {
  for (const std::uint64_t seed : {3, 5, 8, 13}) EXPECT_EQ(play(seed), play(seed)) << "seed " << seed;
}

}  // namespace
}  // namespace zks::sim
