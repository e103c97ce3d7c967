// SPDX-License-Identifier: MIT
//
// The client's lanes: those that serve and when each is to be renewed, the one that waits for its WELCOME,
// and when another one may be made, beside too few, beside one that is old or beside silent ones. client.hpp
// makes them, one at a time; tunnel.hpp has the lanes themselves. Sans-IO.
//
// Executor: the client's. Lifetime: the client's.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "session/frames.hpp"
#include "tunnel/backoff.hpp"

namespace zks::tunnel {

struct LaneSetOptions {
  std::size_t wanted = 1;
  std::chrono::milliseconds longest_pause{15'000};
  std::chrono::milliseconds renew_after = std::chrono::hours(1);
};

class LaneSet {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Number = session::LaneNumber;
  // What the session says of itself.
  struct Session {
    bool silent = false;     // nothing comes on some lane, though something should
    std::uint64_t most = 1;  // lanes that the exit takes
  };
  // What is to be done now, the most urgent first.
  enum class Task : std::uint8_t { kNone, kRace, kRenew, kJoin };

  explicit LaneSet(LaneSetOptions options) : options_(options) {}

  bool empty() const { return serving_.empty(); }
  std::size_t size() const { return serving_.size(); }
  bool serves(Number lane) const { return serving_.contains(lane); }
  bool has_spare() const { return size() > options_.wanted; }
  std::vector<Number> numbers() const;

  // --- the lane that is being attached
  // Lanes are numbered anew.
  void begin_session() { newest_ = 0; }
  Number attach();
  bool attaching() const { return attaching_.has_value(); }
  bool attaching(Number lane) const { return attaching_ == lane; }
  Number newest() const { return newest_; }  // 0: none yet
  void welcomed(Number lane, TimePoint now);
  // Why the newest lane is over, if it is.
  const Error& why_over() const { return why_over_; }

  // --- the end of lanes
  enum class Loss : std::uint8_t { kNeverServed, kOthersServe, kLast };
  Loss lost(Number lane, const Error& why, TimePoint now);
  void retire(Number lane) { serving_.erase(lane); }
  void session_over(const Error& why);
  // Since the last of them was lost.
  std::chrono::nanoseconds since_lost(TimePoint now) const { return now - lost_at_; }

  // --- when to make one
  Task task(const Session& session, TimePoint now) const;
  // When task() is to be asked again though nothing has happened; TimePoint::max() for never.
  TimePoint due(const Session& session) const;
  std::optional<Number> to_renew(TimePoint now) const;
  // Of one that has carried enough.
  void renew_now(Number lane);
  // The exit does not take another one yet: it has yet to hear of dead ones.
  void join_later(TimePoint now) { join_at_ = now + kLookAgain; }
  void race_later(TimePoint now) { race_at_ = now + kLookAgain; }
  // What came of a task.
  void joined(bool done, TimePoint now);
  // Of a lane that was made to race silent ones: whether it goes on instead of them. They may have been heard
  // since (not `still_silent`), or have died, as it may itself.
  bool has_won(Number made, bool still_silent) const {
    return serves(made) && (still_silent || !has_spare());
  }
  void raced(bool won, TimePoint now);
  void not_renewed(Number lane, TimePoint now);
  // What failed may work now.
  void network_changed();

  static constexpr std::chrono::seconds kRenewAgain{60};  // after a failure; the old lane serves on
  static constexpr std::chrono::seconds kLookAgain{1};    // for a place among the lanes that the exit takes

 private:
  bool wants_lane(const Session& session) const {
    return size() < std::min<std::uint64_t>(options_.wanted, session.most);
  }

  LaneSetOptions options_;
  std::map<Number, TimePoint> serving_;  // when to renew it
  std::optional<Number> attaching_;
  Number newest_ = 0;
  Error why_over_;
  TimePoint lost_at_;
  TimePoint join_at_;  // not before this
  Backoff joining_;
  TimePoint race_at_;  // not before this
  Backoff racing_;
};

}  // namespace zks::tunnel
