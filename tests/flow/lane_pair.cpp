// SPDX-License-Identifier: MIT
#include "lane_pair.hpp"

#include "net/spawn.hpp"

namespace zks::test {
namespace {

MutableBytes view(carrier::Buffer& buffer) {
  return {static_cast<std::uint8_t*>(buffer.data().data()), buffer.size()};
}

}  // namespace

LanePair::LanePair(asio::io_context& loop, Tamper tamper) : loop_(loop), tamper_(std::move(tamper)) {
  link.exit_public_key = exit_key_.public_key;
  link.invite = random_array<8>();
  link.psk = Key::random();
  link.room = random_array<20>();
}

LanePair::~LanePair() {
  if (relay_client_) relay_client_->abort();
  if (relay_exit_) relay_exit_->abort();
  const Error done = make_error(ErrorKind::kClosed, "the test is over");
  if (client) client->end(done);
  if (exit) exit->end(done);
  loop_.restart();
  loop_.run();  // the forwarders refer to this object's carriers
}

void LanePair::connect(std::function<void(tunnel::StreamPtr, session::Destination)> on_open) {
  on_open_ = std::move(on_open);
  auto near = carrier::make_memory_pair(loop_.get_executor());
  auto far = carrier::make_memory_pair(loop_.get_executor());
  client_link = near.link;
  exit_link = far.link;
  relay_client_ = std::move(near.second);
  relay_exit_ = std::move(far.first);
  const Key remote_key = Key::random();
  const std::uint64_t window = 16 << 20;
  const net::RethrowFailure rethrow;
  asio::co_spawn(loop_, run_client(this, std::move(near.first), {1, 0, remote_key.clone(), window}), rethrow);
  asio::co_spawn(loop_, run_exit(this, std::move(far.second), {1, 0, remote_key.clone(), window}), rethrow);
  asio::co_spawn(loop_, forward(relay_client_.get(), relay_exit_.get(), Direction::kClientToExit, tamper_),
                 rethrow);
  asio::co_spawn(loop_, forward(relay_exit_.get(), relay_client_.get(), Direction::kExitToClient, tamper_),
                 rethrow);
}

asio::awaitable<void> LanePair::forward(carrier::Carrier* from, carrier::Carrier* to, Direction direction,
                                        Tamper tamper) {
  carrier::Buffer buffer;
  for (std::size_t index = 0;; ++index) {
    const auto type = co_await from->read(buffer);
    if (!type) {
      if (type.error().detail != 0) {  // a code is passed on, behind what was sent before it
        const auto closed = co_await to->close(static_cast<std::uint16_t>(type.error().detail));
        (void)closed;
      }
      break;
    }
    const MutableBytes bytes = view(buffer);
    Bytes message(bytes.begin(), bytes.end());
    if (tamper) tamper(direction, index, message);
    const auto sent = co_await to->write(*type, message);
    if (!sent) break;
  }
  to->abort();
  from->abort();
}

asio::awaitable<void> LanePair::run_client(LanePair* self, carrier::CarrierPtr carrier,
                                           carrier::Paired paired) {
  auto keys = co_await tunnel::initiate(*carrier, std::move(paired), self->link, self->client_key_);
  if (!keys) {
    self->client_error = keys.error();
    co_return;
  }
  session::Options options;
  options.id = random_array<16>();
  tunnel::Tunnel::Handlers handlers;
  handlers.on_up = [self](session::LaneNumber, session::HelloMode) { self->welcomed = true; };
  handlers.on_lane_lost = [self](session::LaneNumber, const Error& why) { self->client_error = why; };
  handlers.on_end = [self](const Error& why) { self->client_error = why; };
  self->client =
      std::make_shared<tunnel::Tunnel>(self->loop_.get_executor(), std::move(options), std::move(handlers));
  self->client->attach(std::move(carrier), std::move(*keys), 1, session::HelloMode::kNew);
}

asio::awaitable<void> LanePair::run_exit(LanePair* self, carrier::CarrierPtr carrier,
                                         carrier::Paired paired) {
  tunnel::Authorize authorize = [self](const tunnel::Claim& claim) -> Result<Key> {
    if (claim.invite != self->link.invite || claim.client_key != self->client_key_.public_key)
      return make_error(ErrorKind::kRefused, "another client");
    return self->exit_psk ? self->exit_psk->clone() : self->link.psk.clone();
  };
  tunnel::IsNew is_new = [](const PublicKey&) { return true; };
  auto accepted = co_await tunnel::respond(*carrier, std::move(paired), self->link.room, self->exit_key_,
                                           std::move(authorize), std::move(is_new));
  if (!accepted) {
    self->exit_error = accepted.error();
    co_return;
  }
  carrier::Buffer buffer;
  const auto got = co_await tunnel::read_binary(*carrier, buffer);
  if (!got) {
    self->exit_error = got.error();
    co_return;
  }
  const std::size_t record_bytes = buffer.size();
  const auto frames = accepted->keys.opener.open(view(buffer));
  if (!frames) {
    self->exit_error = frames.error();
    co_return;
  }
  self->exit_had_session = true;
  ByteReader in(*frames);
  const auto first = session::decode_frame(in);
  const auto& hello = std::get<session::HelloFrame>(*first);
  session::Options options;
  options.role = session::Role::kExit;
  options.id = hello.session;
  tunnel::Tunnel::Handlers handlers;
  handlers.on_open = self->on_open_;
  handlers.on_lane_lost = [self](session::LaneNumber, const Error& why) { self->exit_error = why; };
  handlers.on_end = [self](const Error& why) { self->exit_error = why; };
  self->exit =
      std::make_shared<tunnel::Tunnel>(self->loop_.get_executor(), std::move(options), std::move(handlers));
  self->exit->attach(std::move(carrier), std::move(accepted->keys), hello.lane, session::HelloMode::kNew,
                     *frames, record_bytes);
}

}  // namespace zks::test
