// SPDX-License-Identifier: MIT
//
// Successors of lanes: of one that has served for long, and of those on which nothing comes.
#include <algorithm>

#include "base/log.hpp"
#include "tunnel/client.hpp"

namespace zks::tunnel {
namespace {

using std::chrono::steady_clock;

constexpr auto kRenewAgain = std::chrono::seconds(60);  // after a failure; the old lane serves on
constexpr auto kLookAgain = std::chrono::seconds(1);    // for a place among the lanes that the exit takes

}  // namespace

std::optional<session::LaneNumber> Client::lane_to_renew() const {
  for (const auto& [lane, due] : lanes_) {
    if (due <= steady_clock::now()) return lane;
  }
  return std::nullopt;
}

void Client::watch_clock() {
  auto next = wants_lane() ? join_at_ : steady_clock::time_point::max();
  for (const auto& [lane, due] : lanes_) next = std::min(next, due);
  if (!silent_lanes().empty()) next = std::min(next, race_at_);
  clock_.expires_at(next);
  clock_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->changed_.notify();
  });
}

// The successor is made while the old lane serves; then the streams move, for which nothing of them is sent
// during a round trip, and what the old lane still had on its way is sent again.
asio::awaitable<void> Client::renew(session::LaneNumber old) {
  const auto added = co_await add_lane();
  if (stopping_ || !lanes_.contains(old)) co_return;
  if (!added) {
    log::warn("the lane could not be renewed: {}", added.error().text);
    lanes_[old] = steady_clock::now() + kRenewAgain;
    co_return;
  }
  lanes_.erase(old);
  tunnel_->retire(old);
  history_.renewed();
  log::info("the lane is renewed");
}

std::vector<session::LaneNumber> Client::silent_lanes() const {
  std::vector<session::LaneNumber> out;
  for (const auto& [lane, due] : lanes_) {
    if (tunnel_ && tunnel_->is_silent(lane)) out.push_back(lane);
  }
  return out;
}

bool Client::may_race() const {
  return steady_clock::now() >= race_at_ && !silent_lanes().empty();
}

// TCP waits twice as long before each time that it sends a lost segment again, so that a path which is back
// may go unused for as long as it was away; where losses come in turns, again and again. A connection made
// now is not so patient. It races against those that are silent: whichever is heard first goes on. One race
// at a time, and after one that brought nothing the pauses grow: a peer that lets lanes fall silent gains no
// more dials than by dropping them.
asio::awaitable<void> Client::race() {
  race_at_ = steady_clock::now() + kLookAgain;
  if (tunnel_->lanes() >= tunnel_->max_lanes()) co_return;
  log::info("nothing comes on the lane; another one is made beside it");
  const auto added = co_await add_lane();
  if (stopping_) co_return;
  auto silent = silent_lanes();
  // What came may have been on its way for long, and be no answer.
  if (added && silent.empty() && lanes_.size() > options_.lanes) {
    co_await pause_.wait(2 * session::kAskAfter);
    if (stopping_ || !tunnel_) co_return;
    silent = silent_lanes();
  }
  const auto now = steady_clock::now();
  const bool won = added && (!silent.empty() || lanes_.size() <= options_.lanes);
  if (won) {
    racing_.reset();
  } else {
    racing_.failed(now);
  }
  race_at_ = now + racing_.pause(now, options_.reconnect_max);
  if (!won) {
    if (!silent.empty()) {
      log::warn("another lane could not be made: {}", added.error().text);
    } else if (!lanes_.empty()) {
      log::info("the lane that was silent goes on");
    }
    if (added) {
      lanes_.erase(last_lane_);
      tunnel_->retire(last_lane_);
    }
    co_return;
  }
  for (const session::LaneNumber lane : silent) {
    history_.lost_lane(make_error(ErrorKind::kTimeout, "nothing came on the lane"), false);
    lanes_.erase(lane);
    tunnel_->retire(lane);
  }
  log::info("a lane that was silent is replaced");
}

}  // namespace zks::tunnel
