// SPDX-License-Identifier: MIT
//
// A tunnel's streams: how one is asked for, how it gets a slot where all are taken, and how many are reset at
// once.
#include "base/log.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;

constexpr auto kOpenTimeout = 30s;  // the exit's own limit for a connect is shorter
constexpr auto kSlotWithin = 5s;    // a round trip, and a lane that is made anew

// What an application hears when a stream can't even be asked for.
session::ResetCode reset_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kLimit:
      return session::ResetCode::kLimit;
    case ErrorKind::kUsage:
      return session::ResetCode::kNameNotFound;
    default:
      return session::ResetCode::kSessionLost;
  }
}

}  // namespace

asio::awaitable<OpenOutcome> Tunnel::open(session::Destination destination) {
  AskForSlot ask = [this, destination = std::move(destination)] {
    return session_.streams().open(destination, now());
  };
  auto id = co_await take_slot(std::move(ask));
  co_return co_await await_answer(std::move(id));
}

asio::awaitable<OpenOutcome> Tunnel::open(session::ListenerId listener, session::Destination from) {
  AskForSlot ask = [this, listener, from = std::move(from)] { return session_.open(listener, from, now()); };
  auto id = co_await take_slot(std::move(ask));
  co_return co_await await_answer(std::move(id));
}

// A stream that is over keeps its slot until both ends know: for each that waits, one is made to end.
asio::awaitable<Result<session::StreamId>> Tunnel::take_slot(AskForSlot ask) {
  const auto self = shared_from_this();
  tell_of_limit();
  auto id = ask();
  if (id || id.error().kind != ErrorKind::kLimit) co_return id;
  asio::steady_timer patience(executor_, kSlotWithin);
  WaitList::Entry waiter(slot_waiters_, patience);
  while (!id && id.error().kind == ErrorKind::kLimit && patience.expiry() > now()) {
    const std::size_t ending = session_.streams().size() - session_.streams().open_count();
    if (ending < slot_waiters_.size() && !make_slot()) break;
    const bool goes_on = co_await waiter.wait();
    if (!goes_on) break;
    id = ask();
  }
  co_return id;
}

bool Tunnel::make_slot() {
  const auto spared = session_.streams().longest_half_closed();
  if (!spared) return false;
  const auto at = streams_.find(*spared);
  if (at != streams_.end()) {
    at->second->reset(session::ResetCode::kLimit);
  } else {
    session_.streams().reset(*spared, session::ResetCode::kLimit);
    changed();
  }
  return true;
}

void Tunnel::tell_of_limit() {
  const std::uint64_t limit = session_.streams().limit();
  if (!limit_notice_.is_due(session_.streams().size(), limit)) return;
  log::warn(
      "all {} streams of the session are in use: those that are half-closed and silent longest make room, "
      "and "
      "without such more are refused; exit-peer --max-streams sets how many there may be",
      limit);
}

asio::awaitable<OpenOutcome> Tunnel::await_answer(Result<session::StreamId> id) {
  const auto self = shared_from_this();
  if (!id) {
    co_return OpenOutcome{nullptr, reset_code(id.error().kind), {}};
  }
  auto stream = std::make_shared<Stream>(self, *id);
  changed();
  asio::steady_timer deadline(executor_, kOpenTimeout);
  deadline.async_wait([weak = std::weak_ptr(stream)](const boost::system::error_code& ec) {
    const auto late = weak.lock();
    if (!ec && late && !late->bound_) late->reset(session::ResetCode::kTimedOut);
  });
  while (!stream->bound_ && !stream->reset_code_) co_await stream->readable_.wait();
  if (stream->reset_code_) co_return OpenOutcome{nullptr, *stream->reset_code_, {}};
  stream->readable_.notify();  // data may have come with OPENED
  session::Destination bound = *stream->bound_;
  co_return OpenOutcome{std::move(stream), session::ResetCode::kCancelled, std::move(bound)};
}

void Tunnel::reset_streams(session::ResetCode code) {
  std::vector<session::StreamId> ids;  // a reset may end streams, and begin some
  ids.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) ids.push_back(id);
  for (const session::StreamId id : ids) {
    if (const auto at = streams_.find(id); at != streams_.end()) at->second->reset(code);
  }
}

std::size_t Tunnel::reset_heaviest_streams(session::ResetCode code) {
  const std::size_t enough = session_.streams().memory_bytes() / 2;
  std::size_t count = 0;
  while (session_.streams().memory_bytes() > enough) {
    const auto id = session_.streams().heaviest();
    if (!id) break;
    ++count;
    if (const auto at = streams_.find(*id); at != streams_.end()) {
      at->second->reset(code);
    } else {
      session_.streams().reset(*id, code);
    }
  }
  changed();
  return count;
}

}  // namespace zks::tunnel
