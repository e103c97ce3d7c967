// SPDX-License-Identifier: MIT
//
// What became of a client since it started: its state and since when, its newest trouble, and what has been
// counted. Client tells it what happens, Client::status() reads it. It decides nothing.
#pragma once

#include <utility>

#include "base/result.hpp"
#include "tunnel/status.hpp"

namespace zks::tunnel {

class ClientHistory {
 public:
  using Clock = std::chrono::steady_clock;
  using State = ClientStatus::State;

  // A lane was welcomed; `was_up`: beside others.
  void came_up(session::HelloMode mode, bool was_up) {
    if (mode == session::HelloMode::kNew) ++counters_.sessions;
    if (!was_up && was_ever_up_) ++counters_.reconnects;
    if (!was_up && mode != session::HelloMode::kNew) ++counters_.resumes;
    was_ever_up_ = true;
    enter(State::kUp);
  }
  void renewed() { ++counters_.renewals; }
  void lost_lane(const Error& why, bool was_last) {
    ++counters_.lanes_lost;
    note(why);
    if (was_last) enter(State::kOrphaned);
  }
  void failed(const Error& why) {
    ++counters_.failed_attempts;
    note(why);
  }
  void session_over(const Traffic& of_it, const Error& why) {
    traffic_ += of_it;
    if (state_ != State::kConnecting) note(why);
    enter(State::kConnecting);
  }
  void stopping() { enter(State::kStopping); }

  void fill(ClientStatus& out) const {
    out.state = state_;
    out.state_age = Clock::now() - since_;
    if (trouble_at_) out.trouble = Trouble{trouble_, Clock::now() - *trouble_at_};
    out.counters = counters_;
    out.traffic = traffic_;
  }

 private:
  void enter(State state) {
    if (state_ == State::kStopping || std::exchange(state_, state) == state) return;
    since_ = Clock::now();
  }
  void note(const Error& why) {
    trouble_ = why.text;
    trouble_at_ = Clock::now();
  }

  State state_ = State::kConnecting;
  Clock::time_point since_ = Clock::now();
  bool was_ever_up_ = false;
  std::string trouble_;
  std::optional<Clock::time_point> trouble_at_;
  ClientStatus::Counters counters_;
  Traffic traffic_;  // of sessions that are over
};

}  // namespace zks::tunnel
