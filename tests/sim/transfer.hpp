// SPDX-License-Identifier: MIT
//
// One stream with bytes both ways: who gets a wrong one, or an end too early, knows. Either side writes in
// pieces and with pauses, reads so too, and closes its half when all is written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "seeded_random.hpp"
#include "world.hpp"

namespace zks::sim {

class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  enum class State : std::uint8_t {
    kWaiting,  // for its time
    kOpening,
    kRunning,
    kComplete,  // both sides have all bytes of the other, and its end
    kRefused,   // the stream was not opened
    kBroken,    // it was reset
    kWrong,     // a byte was not what was written, or there was one too few or too many
  };
  struct Plan {
    std::uint64_t number = 0;
    std::chrono::milliseconds at{0};
    std::uint64_t up = 0;
    std::uint64_t down = 0;
    std::chrono::milliseconds longest_pause{0};  // of either side, before it writes or reads on
  };

  Transfer(World& world, Plan plan) : world_(&world), plan_(plan), dice_(plan.number) {}

  void start();
  // The exit has connected.
  void serve(World::Target target);

  std::string name() const { return "t" + std::to_string(plan_.number); }
  State state() const { return state_; }
  bool is_over() const { return state_ >= State::kComplete; }
  const Plan& plan() const { return plan_; }

 private:
  static asio::awaitable<void> run(std::shared_ptr<Transfer> self);
  static asio::awaitable<void> write_up(std::shared_ptr<Transfer> self, tunnel::StreamPtr stream);
  static asio::awaitable<void> read_down(std::shared_ptr<Transfer> self, tunnel::StreamPtr stream);
  using TargetPtr = std::shared_ptr<World::Target>;
  static asio::awaitable<void> write_down(std::shared_ptr<Transfer> self, TargetPtr target);
  static asio::awaitable<void> read_up(std::shared_ptr<Transfer> self, TargetPtr target);

  asio::awaitable<void> pause();
  void end(State state);
  void one_way_is_over();
  std::uint8_t byte_at(std::uint64_t offset, bool up) const {
    return static_cast<std::uint8_t>((offset * 31 + (offset >> 8) + plan_.number) * (up ? 1 : 3));
  }
  bool check(ByteView bytes, std::uint64_t& offset, bool up);

  World* world_;
  Plan plan_;
  Dice dice_;
  State state_ = State::kWaiting;
  int ways_over_ = 0;
};

}  // namespace zks::sim
