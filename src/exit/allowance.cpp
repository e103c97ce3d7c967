// SPDX-License-Identifier: MIT
#include "exit/allowance.hpp"

#include <algorithm>
#include <limits>

#include <sys/resource.h>

#include "base/log.hpp"

namespace zks::exit {
namespace {

using session::ResetCode;

constexpr double kLogLinesPerSecond = 10;
constexpr double kLogLinesAtOnce = 1000;

}  // namespace

Allowance::Allowance(boost::asio::any_io_executor executor, std::shared_ptr<const Policy> exit_policy,
                     Clock clock, std::shared_ptr<AllStreams> all_streams)
    : clock_(clock),
      policy_(std::make_shared<Policy>(std::move(exit_policy), Rules{})),
      log_lines_(kLogLinesPerSecond, kLogLinesAtOnce, clock()),
      all_streams_(std::move(all_streams)),
      up_([this] { arm(Direction::kUp); }),
      down_([this] { arm(Direction::kDown); }),
      timers_{boost::asio::steady_timer(executor), boost::asio::steady_timer(executor)} {}

void Allowance::set_terms(Rules rules, const link::Terms& terms, ListenRules listen_rules) {
  const TimePoint now = clock_();
  policy_->set_rules(std::move(rules));
  listen_rules_ = std::move(listen_rules);
  max_streams_ = terms.max_streams;
  if (terms.stream_rate != stream_rate_) {
    stream_rate_ = terms.stream_rate;
    const auto rate = static_cast<double>(stream_rate_);
    stream_rate_ == 0 ? opens_.reset() : static_cast<void>(opens_.emplace(rate, rate, now));
  }
  quota_bytes_ = terms.quota_bytes;
  up_.set_rate(terms.rate_bytes, now);
  down_.set_rate(terms.rate_bytes, now);
  note_quota();
}

std::size_t AllStreams::three_quarters_of_descriptors() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return std::numeric_limits<std::size_t>::max();
  return files.rlim_cur / 4 * 3;
}

Allowance::Admission Allowance::admit(const tunnel::Claim& guest) {
  const auto refused = [](ResetCode code, std::string reason) {
    return Admission{code, std::move(reason), {}, {}};
  };
  if (used_up()) return refused(ResetCode::kQuotaUsedUp, "this invite's quota is used up");
  if (!all_streams_->have_room(guest)) {
    return refused(ResetCode::kLimit, "this device's share of all connections is in use");
  }
  if (!has_room()) {
    return refused(ResetCode::kLimit, "this invite's max-streams are in use");
  }
  const TimePoint now = clock_();
  const Duration turn = opens_ ? opens_->take(1, now) : Duration::zero();
  const Duration paid = up_.charge(kConnectionBytes, now);
  const Duration pause = std::max(turn, paid);
  if (pause > kLongestPause) {
    if (opens_) opens_->give_back(1);
    up_.give_back(kConnectionBytes);
    return refused(ResetCode::kLimit, turn > kLongestPause ? "far beyond this invite's stream-rate"
                                                           : "far beyond this invite's rate");
  }
  count(kConnectionBytes);
  return Admission{{}, {}, pause, StreamSlot(shared_from_this(), guest)};
}

// The one that makes room leaves when its coroutine ends, soon after.
bool Allowance::has_room() {
  if (max_streams_ == 0) return true;
  if (limit_notice_.is_due(streams_.size(), max_streams_)) {
    log::warn(
        "all {} max-streams of an invite are in use: those that are half-closed and silent longest make "
        "room, and "
        "without such more are refused",
        max_streams_);
  }
  if (streams_.size() < max_streams_) return true;
  const tunnel::StreamPtr longest = tunnel::longest_half_closed(streams_);
  if (longest) longest->reset(ResetCode::kLimit);
  return longest != nullptr;
}

std::uint64_t Allowance::ask(Direction direction, Waiter& waiter) {
  return gate(direction).ask(waiter, clock_());
}

void Allowance::passed(Direction direction, Waiter& waiter, std::uint64_t bytes) {
  gate(direction).passed(waiter, bytes, clock_());
  count(bytes);
}

bool Allowance::take_datagram(Direction direction, std::size_t bytes) {
  const std::uint64_t cost = std::max<std::uint64_t>(bytes, kDatagramBytes);
  if (!gate(direction).try_pass(cost, clock_())) return false;
  count(cost);
  return true;
}

void Allowance::count(std::uint64_t bytes) {
  if (bytes == 0) return;
  unsaved_bytes_ += bytes;
  if (quota_bytes_ != 0) note_quota();
}

void Allowance::note_quota() {
  const bool closed = used_up();
  up_.set_closed(closed, clock_());
  down_.set_closed(closed, clock_());
}

void Allowance::set_saved(std::uint64_t bytes) {
  saved_bytes_ = bytes;
  note_quota();
}

bool Allowance::may_log() {
  return log_lines_.try_take(1, clock_());
}

void Allowance::arm(Direction direction) {
  auto& timer = timers_[static_cast<std::size_t>(direction)];
  const TimePoint due = gate(direction).due(clock_());
  if (due == TimePoint::max()) {
    timer.cancel();
    return;
  }
  timer.expires_at(due);
  timer.async_wait([weak = weak_from_this(), direction](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->gate(direction).wake();
  });
}

}  // namespace zks::exit
