// SPDX-License-Identifier: MIT
//
// Lanes beside the first one: those that are wanted, and successors of one that has served for long and of
// those on which nothing comes. lane_set.hpp says when.
#include "base/log.hpp"
#include "tunnel/client.hpp"

namespace zks::tunnel {

using std::chrono::steady_clock;

// While there is a lane: makes the others, and successors.
asio::awaitable<void> Client::serve_lanes() {
  while (!lanes_.empty()) {
    const auto now = steady_clock::now();
    // One that stops makes no lane any more, however long one is due.
    const auto task = state_.is_ending() ? LaneSet::Task::kNone : lanes_.task(about_session(), now);
    if (task == LaneSet::Task::kRace) {
      co_await race();
    } else if (task == LaneSet::Task::kRenew) {
      co_await renew(*lanes_.to_renew(now));
    } else if (task == LaneSet::Task::kJoin) {
      co_await join();
    } else {
      if (!state_.is_ending()) watch_clock();
      co_await changed_.wait();
    }
  }
}

LaneSet::Session Client::about_session() const {
  return {.silent = !silent_lanes().empty(), .most = tunnel_->max_lanes()};
}

void Client::watch_clock() {
  clock_.expires_at(lanes_.due(about_session()));
  clock_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->changed_.notify();
  });
}

asio::awaitable<void> Client::join() {
  if (takes_no_lane()) {  // dead ones that the exit has not moved yet
    lanes_.join_later(steady_clock::now());
    co_return;
  }
  const auto added = co_await add_lane();
  lanes_.joined(added.has_value(), steady_clock::now());
  if (!added && !state_.is_ending()) log::warn("{}; trying again to have another lane", added.error().text);
}

// One more lane at the session's exit, through the relay that works or else another one. When all lanes died
// meanwhile it resumes the session.
carrier::Task<session::LaneNumber> Client::add_lane() {
  auto fresh = co_await make_lane(relay_, [] { return true; });
  if (state_.is_ending() || !tunnel_) co_return make_error(ErrorKind::kClosed, "stopping");
  if (!fresh) co_return fresh.error();
  co_return co_await attach(std::move(*fresh));
}

// The successor is made while the old lane serves; then the streams move, for which nothing of them is sent
// during a round trip, and what the old lane still had on its way is sent again.
asio::awaitable<void> Client::renew(session::LaneNumber old) {
  const auto added = co_await add_lane();
  if (state_.is_ending() || !lanes_.serves(old)) co_return;
  if (!added) {
    log::warn("the lane could not be renewed: {}", added.error().text);
    lanes_.not_renewed(old, steady_clock::now());
    co_return;
  }
  retire(old);
  state_.renewed();
  log::info("the lane is renewed");
}

void Client::retire(session::LaneNumber lane) {
  lanes_.retire(lane);
  tunnel_->retire(lane);
}

std::vector<session::LaneNumber> Client::silent_lanes() const {
  auto out = lanes_.numbers();
  std::erase_if(out, [this](session::LaneNumber lane) { return !tunnel_->is_silent(lane); });
  return out;
}

// TCP waits twice as long before each time that it sends a lost segment again, so that a path which is back
// may go unused for as long as it was away; where losses come in turns, again and again. A connection made
// now is not so patient. It races against those that are silent: whichever is heard first goes on. One race
// at a time, and after one that brought nothing the pauses grow: a peer that lets lanes fall silent gains no
// more dials than by dropping them.
asio::awaitable<void> Client::race() {
  lanes_.race_later(steady_clock::now());
  if (takes_no_lane()) co_return;
  log::info("nothing comes on the lane; another one is made beside it");
  const auto made = co_await add_lane();
  if (state_.is_ending()) co_return;
  // What came may have been on its way for long, and be no answer.
  if (made && silent_lanes().empty() && lanes_.has_spare()) {
    co_await pause_.wait(2 * session::kAskAfter);
    if (state_.is_ending() || !tunnel_) co_return;
  }
  auto silent = silent_lanes();
  if (made) std::erase(silent, *made);
  const bool won = made && lanes_.has_won(*made, !silent.empty());
  lanes_.raced(won, steady_clock::now());
  if (!won) {
    if (!silent.empty()) {
      log::warn("another lane could not be made: {}", made ? lanes_.why_over().text : made.error().text);
    } else if (!lanes_.empty()) {
      log::info("the lane that was silent goes on");
    }
    if (made && lanes_.serves(*made)) retire(*made);
    co_return;
  }
  for (const session::LaneNumber lane : silent) {
    state_.lost_lane(make_error(ErrorKind::kTimeout, "nothing came on the lane"), false);
    retire(lane);
  }
  log::info("a lane that was silent is replaced");
}

}  // namespace zks::tunnel
