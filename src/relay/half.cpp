// SPDX-License-Identifier: MIT
#include "relay/half.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "base/log.hpp"
#include "net/on_end.hpp"

namespace zks::relay {

namespace close_code = carrier::close_code;
using Clock = std::chrono::steady_clock;

namespace {

// How much a pair may send at once before its rate holds it back.
constexpr double kPaceBurstSeconds = 0.25;

// What the other half is told when this one ends. A peer's own codes pass only where they mean something to
// the other peer; ours pass where they are about the pair as a whole.
std::uint16_t code_for_other(std::uint16_t code, bool ours) {
  const bool passes =
      ours ? code == close_code::kBehind || code == close_code::kRestart || code == kGaveWay
           : code == close_code::kNormal || code == close_code::kGoingAway || code == close_code::kForbidden;
  return passes ? code : close_code::kOther;
}

}  // namespace

Half::Half(RelayPtr relay, std::shared_ptr<Loop> loop, carrier::CarrierPtr carrier)
    : Socket(std::move(loop), std::move(carrier), relay->options.idle_timeout, relay->options.write_timeout),
      relay_(std::move(relay)),
      claimed_(executor()),
      ledger_(relay_->options.window_bytes) {}

// One that could not even start has no end.
Half::~Half() {
  if (waiting_under_) relay_->rooms.withdraw(*waiting_under_);
}

// ---- waiting for an exit

void Half::start_waiting(const std::shared_ptr<Half>& client, PairSlot slot, const RoomId& room,
                         std::vector<InstanceId> exits) {
  client->slot_.emplace(std::move(slot));
  const PairId pair = client->relay_->rooms.wait(room, client);
  client->waiting_under_ = pair;
  client->start();
  const auto give_way = [weak = client->weak_from_this(), executor = client->executor()] {
    asio::post(executor, [weak] {
      if (const auto newest = weak.lock()) newest->end(kGaveWay);
    });
  };
  if (!client->slot_->on_give_way(give_way)) client->end(kGaveWay);
  asio::co_spawn(client->executor(), await_exit(client, room, pair, std::move(exits)),
                 net::OnEnd(client->executor(), [client](const std::exception_ptr& failure) {
                   if (!failure) return;
                   log_failure(failure, "knock");
                   client->end(close_code::kPairGone);
                 }));
}

asio::awaitable<void> Half::await_exit(std::shared_ptr<Half> self, RoomId room, PairId pair,
                                       std::vector<InstanceId> exits) {
  const auto deadline = Clock::now() + self->relay_->options.pair_timeout;
  for (std::size_t i = 0; i < exits.size() && !self->other_ && !self->ending(); ++i) {
    const auto exit = self->relay_->rooms.exit(room, exits[i]);  // it may have come anew since
    if (!exit) continue;
    exit->knock(pair);
    self->counters().knocks.add();
    const bool last = i + 1 == exits.size();
    const auto patience =
        last ? deadline : std::min(Clock::now() + self->relay_->options.knock_timeout, deadline);
    while (!self->other_ && !self->ending() && Clock::now() < patience)
      co_await self->claimed_.wait_until(patience);
  }
  if (self->other_ || self->ending()) co_return;
  // Whoever claimed it a moment ago is about to join. An exit is registered and did not come: late, not
  // absent, so that the client knows that another attempt may help.
  if (self->relay_->rooms.withdraw(pair))
    self->end(exits.empty() ? close_code::kNoExit : close_code::kPairGone);
}

// ---- becoming a pair

void Half::start_pair(const std::shared_ptr<Half>& client, const std::shared_ptr<Half>& exit) {
  const Options& options = exit->relay_->options;
  const carrier::Control paired =
      carrier::Paired{kProtocolVersion, /*epoch=*/0, Key::random(), options.window_bytes};
  std::shared_ptr<TokenBucket> pace;
  if (options.pair_rate > 0) {
    const auto rate = static_cast<double>(options.pair_rate);
    pace = std::make_shared<TokenBucket>(rate, rate * kPaceBurstSeconds, Clock::now());
  }
  exit->rotation_.emplace(KeyRotation::Limits{options.rotate_bytes, options.rotate_after}, Clock::now());
  Join for_client{exit, pace, carrier::encode_control(paired)};
  Join for_exit{client, pace, carrier::encode_control(paired)};
  client->join(std::move(for_client));
  exit->counters().pairs.add();
  exit->start();
  exit->join(std::move(for_exit));
}

void Half::join(Join with) {
  waiting_under_.reset();
  if (ending()) {  // this half ended between the claim and now; the other one learns it here
    with.other->other_ended(close_code::kOther);
    return;
  }
  other_ = std::move(with.other);
  pace_ = std::move(with.pace);
  send_text(std::move(with.paired));
  allow_messages_of(relay_->options.max_message_bytes);
  claimed_.notify();
  if (rotation_) loop()->backlog().add(this);
}

std::size_t Half::held_bytes() const {
  return Socket::held_bytes() + (other_ ? other_->Socket::held_bytes() : 0);
}

void Half::give_way() {
  const auto other = other_;
  end_soon(close_code::kBehind);
  if (other) other->end_soon(close_code::kBehind);
}

// ---- forwarding

asio::awaitable<void> Half::before_read() {
  while (!ending()) {
    if (forwarding_) {
      co_await reader_signal().wait();
    } else if (Clock::now() < resume_reading_) {
      co_await reader_signal().wait_until(resume_reading_);
    } else {
      co_return;
    }
  }
}

asio::awaitable<std::uint16_t> Half::on_binary(carrier::Buffer message) {
  if (!other_) co_return close_code::kPolicy;  // before `paired` there is nobody to talk to
  if (pace_) {
    const auto now = Clock::now();
    resume_reading_ = now + pace_->take(static_cast<double>(message.size()), now);
  }
  forwarding_ = true;
  count_towards_key(message.size());
  const auto other = other_;
  other->deliver(std::move(message));
  co_await other->write_queued();
  co_return 0;
}

void Half::deliver(carrier::Buffer message) {
  count_towards_key(message.size());
  send_binary(std::move(message));
}

void Half::on_sent(std::size_t bytes) {
  counters().forwarded[rotation_ ? Counters::kToExit : Counters::kToClient].count(bytes);
  if (other_) other_->delivered();
  const auto mark = ledger_.sent(bytes);
  if (mark) send_text(carrier::encode_control(carrier::Mark{*mark}));
  if (ledger_.behind()) end(close_code::kBehind);
}

void Half::delivered() {
  forwarding_ = false;
  wake_reader();
}

std::uint16_t Half::on_control(const carrier::Control& message) {
  if (const auto* seen = std::get_if<carrier::KeySeen>(&message)) return on_key_seen(seen->epoch);
  const auto* mark = std::get_if<carrier::Mark>(&message);
  return mark != nullptr && ledger_.echoed(mark->id) ? 0 : close_code::kPolicy;
}

// ---- key epochs

// A message of either direction is about to be queued; both pass here, at the exit's half.
void Half::count_towards_key(std::size_t bytes) {
  if (!rotation_ || !other_) return;
  const auto epoch = rotation_->pass(bytes, Clock::now());
  if (!epoch) return;
  counters().keys.add();
  log::debug("a pair gets the key of epoch {}", *epoch);
  Key key = Key::random();
  other_->send_key({*epoch, key.clone()});
  send_key({*epoch, std::move(key)});
}

// Before the first byte is written: the answer may be read before the write is known to be over. Not when it
// is queued: a peer that guesses the answer and reads nothing would fill the queue with keys.
void Half::on_key(std::uint64_t epoch) {
  unseen_key_ = epoch;
}

std::uint16_t Half::on_key_seen(std::uint64_t epoch) {
  if (unseen_key_ != epoch) return close_code::kPolicy;
  unseen_key_.reset();
  key_answered();
  return 0;
}

// At the half that was answered, and from the client's on to the exit's.
void Half::key_answered() {
  if (rotation_) {
    rotation_->answered();
  } else if (other_) {
    other_->key_answered();
  }
}

// ---- ending

void Half::on_ending(std::uint16_t code, bool ours) {
  if (waiting_under_) relay_->rooms.withdraw(*waiting_under_);
  if (rotation_) loop()->backlog().remove(this);
  claimed_.notify();
  if (!other_) return;
  const std::shared_ptr<Half> other = std::exchange(other_, nullptr);
  other->other_ended(code_for_other(code, ours));
}

void Half::other_ended(std::uint16_t code) {
  end_after_queue(code);
}

}  // namespace zks::relay
