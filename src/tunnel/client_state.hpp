// SPDX-License-Identifier: MIT
//
// In which state a client is and since when, with what it ends, its newest trouble, and what has been
// counted. Client tells it what happens and asks it what may still be done; Client::status() reads it.
#pragma once

#include <utility>

#include "base/result.hpp"
#include "tunnel/status.hpp"

namespace zks::tunnel {

class ClientState {
 public:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t {
    kConnecting,  // there is no session, or one that waits for its first WELCOME
    kUp,
    kOrphaned,  // the last lane is lost; the session's streams wait for another one
    kFailed,    // for good: it ends by itself
    kStopping,  // it was told to end
  };

  State state() const { return state_; }
  // No lane is made any more, and no session.
  bool is_ending() const { return state_ >= State::kFailed; }
  // Until then whatever fails may be the user's to mend.
  bool had_session() const { return counters_.sessions > 0; }
  const std::optional<Error>& final_error() const { return final_error_; }

  // A lane was welcomed; `was_up`: beside others.
  void came_up(session::HelloMode mode, bool was_up) {
    if (!was_up && had_session()) ++counters_.reconnects;
    if (mode == session::HelloMode::kNew) ++counters_.sessions;
    if (!was_up && mode != session::HelloMode::kNew) ++counters_.resumes;
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
  void failed_for_good(const Error& why) {
    final_error_ = why;
    enter(State::kFailed);
  }
  void stopping() { enter(State::kStopping); }

  void fill(ClientStatus& out) const {
    out.state = to_status(state_);
    out.state_age = Clock::now() - since_;
    if (trouble_at_) out.trouble = Trouble{trouble_, Clock::now() - *trouble_at_};
    out.counters = counters_;
    out.traffic = traffic_;
  }

 private:
  // What ends goes on ending.
  void enter(State state) {
    if (is_ending() && state <= state_) return;
    if (to_status(std::exchange(state_, state)) != to_status(state)) since_ = Clock::now();
  }
  static ClientStatus::State to_status(State state) {
    switch (state) {
      case State::kConnecting:
        return ClientStatus::State::kConnecting;
      case State::kUp:
        return ClientStatus::State::kUp;
      case State::kOrphaned:
        return ClientStatus::State::kOrphaned;
      case State::kFailed:
      case State::kStopping:
        break;
    }
    return ClientStatus::State::kStopping;
  }
  void note(const Error& why) {
    trouble_ = why.text;
    trouble_at_ = Clock::now();
  }

  State state_ = State::kConnecting;
  Clock::time_point since_ = Clock::now();
  std::optional<Error> final_error_;
  std::string trouble_;
  std::optional<Clock::time_point> trouble_at_;
  ClientStatus::Counters counters_;
  Traffic traffic_;  // of sessions that are over
};

}  // namespace zks::tunnel
