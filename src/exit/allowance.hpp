// SPDX-License-Identifier: MIT
//
// What one invite may use of this exit, shared by all its sessions and devices: its policy (policy.hpp) and
// its limits (link/terms.hpp). stream_server.cpp asks it for each new stream, splice.cpp for the bytes of
// streams, and whoever carries datagrams for each datagram.
//
//   max-streams   for one more, the stream that its user has half-closed and that is silent longest makes
//                 room, or it is refused
//   stream-rate   beyond it a stream waits for its turn, at most kLongestPause, and is refused when that
//   would
//                 not do; a second's worth may come at once
//   rate          bytes a second in each direction; streams wait, datagrams are dropped
//   quota         bytes in all; when they are used up nothing passes any more
//
// For both a connection costs kConnectionBytes beside its bytes, and a datagram, query or ping at least
// kDatagramBytes: what carries nothing is not for nothing.
//
// Executor: one, given at construction. Lifetime: shared; streams hold it.
#pragma once

#include <algorithm>
#include <array>
#include <list>
#include <memory>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "base/limit_notice.hpp"
#include "exit/guest_shares.hpp"
#include "exit/listen_rules.hpp"
#include "exit/policy.hpp"
#include "exit/rate_gate.hpp"
#include "link/terms.hpp"
#include "session/destination.hpp"
#include "tunnel/stream.hpp"

namespace zks::exit {

// Connections of all invites together: each takes a descriptor, and three quarters of the process's are for
// them. What is left is for lanes, flows, lookups and the rest.
class AllStreams {
 public:
  // `places`: how many there are; asked each time.
  explicit AllStreams(std::size_t (*places)() = &three_quarters_of_descriptors) : places_(places) {}

  bool have_room(const tunnel::Claim& guest) const { return held_.leave_enough(guest, places_()); }
  void add(const tunnel::Claim& guest) { held_.add(guest); }
  void remove(const tunnel::Claim& guest) { held_.remove(guest); }

  static std::size_t three_quarters_of_descriptors();

 private:
  std::size_t (*places_)();
  GuestShares held_;  // each invite and device has a share
};

class Allowance final : public tunnel::Meter, public std::enable_shared_from_this<Allowance> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;
  using Clock = TimePoint (*)();

  static constexpr std::chrono::seconds kLongestPause{10};
  static constexpr std::uint64_t kConnectionBytes = 64;
  static constexpr std::uint64_t kDatagramBytes = 64;

  // One stream of the invite, for as long as it lives.
  class StreamSlot {
   public:
    StreamSlot() = default;
    StreamSlot(std::shared_ptr<Allowance> owner, tunnel::Claim guest)
        : owner_(std::move(owner)),
          guest_(guest),
          at_(owner_->streams_.insert(owner_->streams_.end(), nullptr)) {
      owner_->all_streams_->add(guest_);
    }
    StreamSlot(StreamSlot&&) noexcept = default;
    StreamSlot& operator=(StreamSlot&&) = delete;
    ~StreamSlot() {
      if (!owner_) return;
      owner_->streams_.erase(at_);
      owner_->all_streams_->remove(guest_);
    }

    // Whose slot it is, once that is connected.
    void give(tunnel::StreamPtr stream) { *at_ = std::move(stream); }

   private:
    std::shared_ptr<Allowance> owner_;
    tunnel::Claim guest_;
    std::list<tunnel::StreamPtr>::iterator at_;
  };

  struct Admission {
    session::ResetCode refused = session::ResetCode::kCancelled;  // why, when there is a reason
    std::string reason;                                           // for the log; empty: admitted
    Duration pause{};                                             // before it may go on
    StreamSlot slot;
  };

  Allowance(boost::asio::any_io_executor executor, std::shared_ptr<const Policy> exit_policy,
            Clock clock = &std::chrono::steady_clock::now,
            std::shared_ptr<AllStreams> all_streams = std::make_shared<AllStreams>());

  // What its operator decided; may change at any time, and counts from then on.
  void set_terms(Rules rules, const link::Terms& terms, ListenRules listen_rules = ListenRules());
  const std::shared_ptr<Policy>& policy() const { return policy_; }
  const ListenRules& listen_rules() const { return listen_rules_; }  // beside the exit's

  // `guest`: one of the invite's devices.
  Admission admit(const tunnel::Claim& guest = {});
  std::size_t streams() const { return streams_.size(); }

  // Bytes of streams.
  std::uint64_t ask(Direction direction, Waiter& waiter) override;
  void passed(Direction direction, Waiter& waiter, std::uint64_t bytes) override;
  // One datagram of `bytes`, or a lookup for one (0): false when it has to be dropped.
  bool take_datagram(Direction direction, std::size_t bytes);

  // --- the quota
  bool used_up() const { return quota_bytes_ != 0 && used_bytes() >= quota_bytes_; }
  std::uint64_t quota_bytes() const { return quota_bytes_; }  // 0: none
  std::uint64_t used_bytes() const { return saved_bytes_ + unsaved_bytes_; }
  std::uint64_t unsaved_bytes() const { return unsaved_bytes_; }
  // So many of them were written down now; set_saved() says what that makes.
  void note_saved(std::uint64_t bytes) { unsaved_bytes_ -= std::min(bytes, unsaved_bytes_); }
  // What the state directory says was used, by this exit and others.
  void set_saved(std::uint64_t bytes);

  // Whether one more line about this invite may go to the log: who is refused a thousand times a second does
  // not fill a disk, nor keep the others waiting for it.
  bool may_log();

 private:
  bool has_room();
  RateGate& gate(Direction direction) { return direction == Direction::kUp ? up_ : down_; }
  void count(std::uint64_t bytes);
  void note_quota();
  void arm(Direction direction);

  Clock clock_;
  std::shared_ptr<Policy> policy_;
  ListenRules listen_rules_;
  std::uint64_t max_streams_ = 0;
  std::uint64_t stream_rate_ = 0;
  std::uint64_t quota_bytes_ = 0;
  std::optional<TokenBucket> opens_;
  TokenBucket log_lines_;
  std::list<tunnel::StreamPtr> streams_;  // null: not connected yet
  std::shared_ptr<AllStreams> all_streams_;
  LimitNotice limit_notice_;
  std::uint64_t saved_bytes_ = 0;
  std::uint64_t unsaved_bytes_ = 0;
  RateGate up_;
  RateGate down_;
  std::array<boost::asio::steady_timer, 2> timers_;  // by direction
};

}  // namespace zks::exit
