// SPDX-License-Identifier: MIT
//
// Whether the other end of a lane is alive (PROTOCOL.md, "Liveness"): PINGs, their answers, and the round
// trip times that these show. A lane whose PING is not answered in time is dead; one that is only silent may
// be slow, and another one may be faster. When a PING is due for what a lane carries, Session knows.
#pragma once

#include <chrono>
#include <deque>
#include <optional>

#include "session/frames.hpp"
#include "session/receive_side.hpp"

namespace zks::session {

inline constexpr std::size_t kMaxPongsOwed = 16;
// A client asks for a sign of life after this much silence, once for each pause.
inline constexpr std::chrono::milliseconds kAskAfter{500};

class Liveness {
 public:
  void begin(TimePoint now);  // and measures the first round trip

  // A record came. Work, which only a client tells of: something else than PING, PONG, LANE_ACK and the like.
  void received(TimePoint now);
  void work_received(TimePoint now) { ask_at_ = now + kAskAfter; }
  void work_sent(TimePoint now);

  // PING, also in place of one that is not answered.
  void request(TimePoint now);
  // The path may have changed: asks for a sign of life, unless it was asked for in earnest.
  void probe(TimePoint now);
  bool asks() const { return ping_.has_value(); }
  bool sample_due(TimePoint now) const;  // of the round trip time
  std::chrono::nanoseconds silence(TimePoint now) const { return now - last_received_; }

  // False: the lane is dead. `undrained_bytes`: what the kernel still holds for it; `arriving`: a record is
  // on its way in.
  bool tick(TimePoint now, std::size_t undrained_bytes, bool arriving);
  // A PING is out in earnest, and nothing has come since. Where not, ask() when silence has lasted too long
  // for what the lane carries, else ask_early().
  bool awaits_sign() const { return ping_ && !ping_->early && last_received_ <= ping_->requested; }
  void ask(TimePoint now);
  void ask_early(TimePoint now);  // a client, after a pause; does nothing before

  bool silent(TimePoint now) const { return now >= silent_at(); }
  TimePoint next_deadline(bool in_use) const;

  std::chrono::nanoseconds round_trip() const { return round_trip_; }
  std::optional<std::chrono::nanoseconds> known_round_trip() const;

  // What is owed; whether there was a PONG in it.
  bool fill(ByteWriter& out, TimePoint now);
  void on(const PingFrame& frame);
  // The round trip time that it shows.
  std::optional<std::chrono::nanoseconds> on(const PongFrame& frame, TimePoint now);

 private:
  struct Ping {
    Token token{};
    bool sent = false;
    bool early = false;  // nothing is owed yet: it says that the lane is silent, never that it is dead
    TimePoint requested{};
    TimePoint sent_at{};
    TimePoint deadline{};
    std::size_t undrained = 0;  // bytes in the kernel at the last tick
    // How many have left since, and the time between the ticks that saw it.
    std::size_t drained_bytes = 0;
    std::chrono::nanoseconds drained_in{0};
    TimePoint silent_from{};  // the first in a row without an answer; later while bytes move
  };

  TimePoint silent_at() const;
  // The lane is not silent before that.
  void expect_answer_by(TimePoint time);
  void expect_as_long_again(TimePoint now, std::chrono::nanoseconds took, std::size_t bytes);
  bool look_at_ping(TimePoint now, std::chrono::nanoseconds since_last, std::size_t undrained_bytes);

  std::deque<Token> pongs_;  // at most kMaxPongsOwed; older ones are dropped
  std::optional<Ping> ping_;
  // Client: PING then. Later whenever anything comes; never (max) once it was asked, until something else
  // than PING, PONG and LANE_ACK is sent or comes.
  TimePoint ask_at_ = TimePoint::max();
  TimePoint checked_at_{};  // when tick() last looked at it
  TimePoint last_received_{};
  TimePoint last_sample_{};
  std::chrono::nanoseconds round_trip_ =
      std::chrono::milliseconds(100);  // smoothed; a guess until the first PONG
  bool round_trip_known_ = false;
  std::chrono::nanoseconds least_round_trip_{};  // of those measured
};

}  // namespace zks::session
