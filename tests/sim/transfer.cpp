// SPDX-License-Identifier: MIT
#include "transfer.hpp"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "net/spawn.hpp"

namespace zks::sim {
namespace {

constexpr std::uint64_t kPiece = 16 * 1024;

}  // namespace

void Transfer::start() {
  asio::co_spawn(world_->loop, run(shared_from_this()), net::RethrowFailure{});
}

void Transfer::serve(World::Target target) {
  const auto shared = std::make_shared<World::Target>(std::move(target));
  asio::co_spawn(world_->loop, write_down(shared_from_this(), shared), net::RethrowFailure{});
  asio::co_spawn(world_->loop, read_up(shared_from_this(), shared), net::RethrowFailure{});
}

void Transfer::end(State state) {
  if (!is_over()) state_ = state;
}

void Transfer::one_way_is_over() {
  if (++ways_over_ == 2) end(State::kComplete);
}

bool Transfer::check(ByteView bytes, std::uint64_t& offset, bool up) {
  const std::uint64_t all = up ? plan_.up : plan_.down;
  for (const std::uint8_t byte : bytes) {
    if (offset >= all || byte != byte_at(offset, up)) return false;
    ++offset;
  }
  return true;
}

asio::awaitable<void> Transfer::pause() {
  const auto longest = static_cast<std::uint64_t>(plan_.longest_pause.count());
  if (longest == 0 || !dice_.one_in(4)) co_return;
  asio::steady_timer timer(world_->loop, std::chrono::milliseconds(dice_.between(1, longest)));
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> Transfer::run(std::shared_ptr<Transfer> self) {
  asio::steady_timer timer(self->world_->loop, self->plan_.at);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  self->state_ = State::kOpening;
  auto opened = co_await self->world_->client->open(World::destination(self->name()));
  if (!opened.stream) co_return self->end(State::kRefused);
  if (!self->is_over()) self->state_ = State::kRunning;
  asio::co_spawn(self->world_->loop, write_up(self, opened.stream), net::RethrowFailure{});
  co_await read_down(self, opened.stream);
}

asio::awaitable<void> Transfer::write_up(std::shared_ptr<Transfer> self, tunnel::StreamPtr stream) {
  std::uint64_t offset = 0;
  while (offset < self->plan_.up) {
    co_await self->pause();
    if (stream->reset_code()) co_return self->end(State::kBroken);
    std::array<MutableBytes, 4> pieces;
    const std::uint64_t most = std::min(self->plan_.up - offset, self->dice_.between(1, kPiece));
    const std::size_t count = stream->prepare(most, pieces);
    std::size_t written = 0;
    for (std::size_t i = 0; i < count; ++i) {
      for (std::uint8_t& byte : pieces[i]) byte = self->byte_at(offset + written++, true);
    }
    offset += written;
    if (written > 0) stream->commit(written);
    if (written == 0 && !stream->reset_code()) co_await stream->room().wait();
  }
  stream->finish();
}

asio::awaitable<void> Transfer::read_down(std::shared_ptr<Transfer> self, tunnel::StreamPtr stream) {
  std::uint64_t offset = 0;
  for (;;) {
    co_await self->pause();
    std::array<ByteView, 8> pieces;
    const std::size_t count = stream->peek(pieces);
    std::size_t read = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!self->check(pieces[i], offset, false)) co_return self->end(State::kWrong);
      read += pieces[i].size();
    }
    if (read > 0) {
      stream->consume(read);
    } else if (stream->at_end()) {
      break;
    } else if (stream->reset_code()) {
      co_return self->end(State::kBroken);
    } else {
      co_await stream->readable().wait();
    }
  }
  stream->consume_end();
  if (offset != self->plan_.down) co_return self->end(State::kWrong);
  self->one_way_is_over();
}

asio::awaitable<void> Transfer::write_down(std::shared_ptr<Transfer> self, TargetPtr target) {
  std::uint64_t offset = 0;
  while (offset < self->plan_.down) {
    co_await self->pause();
    Bytes piece(std::min(self->plan_.down - offset, self->dice_.between(1, kPiece)));
    for (std::uint8_t& byte : piece) byte = self->byte_at(offset++, false);
    const auto [ec, sent] =
        co_await asio::async_write(*target, asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
    if (ec) co_return self->end(State::kBroken);
  }
  boost::system::error_code ignored;
  target->shutdown(asio::socket_base::shutdown_send, ignored);
}

asio::awaitable<void> Transfer::read_up(std::shared_ptr<Transfer> self, TargetPtr target) {
  std::uint64_t offset = 0;
  Bytes buffer(kPiece);
  for (;;) {
    co_await self->pause();
    const auto [ec, count] =
        co_await target->async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    if (ec == asio::error::eof) break;
    if (ec) co_return self->end(State::kBroken);
    if (!self->check(ByteView(buffer).first(count), offset, true)) co_return self->end(State::kWrong);
  }
  // A unix socket can't be reset: where a stream is, its target sees an end.
  if (offset != self->plan_.up) co_return self->end(State::kBroken);
  self->one_way_is_over();
}

}  // namespace zks::sim
