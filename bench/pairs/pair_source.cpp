// SPDX-License-Identifier: MIT
#include "pair_source.hpp"

#include <cstring>

#include <boost/asio/co_spawn.hpp>

#include "net/spawn.hpp"

namespace zks::bench {
namespace {

using carrier::MessageType;
using carrier::Task;

constexpr std::size_t kNumber = sizeof(std::uint64_t);
constexpr std::size_t kRecord = crypto::kRecordOverhead + kNumber;

Task<> send_number(Half& half, std::uint64_t number) {
  Bytes record(kRecord);
  std::memcpy(record.data() + crypto::kRecordHeader, &number, kNumber);
  const auto sealed = half.keys.sealer.seal(record);
  if (!sealed) co_return sealed.error();
  const auto sent = co_await half.carrier->write(MessageType::kBinary, record);
  co_return sent;
}

Task<std::uint64_t> receive_number(Half& half) {
  carrier::Buffer buffer;
  const auto got = co_await tunnel::read_binary(*half.carrier, buffer);
  if (!got) co_return got.error();
  const MutableBytes record(static_cast<std::uint8_t*>(buffer.data().data()), buffer.size());
  const auto opened = half.keys.opener.open(record);
  if (!opened) co_return opened.error();
  if (opened->size() != kNumber) co_return make_error(ErrorKind::kProtocol, "not a number");
  std::uint64_t number = 0;
  std::memcpy(&number, opened->data(), kNumber);
  co_return number;
}

}  // namespace

PairSource::PairSource(asio::any_io_executor executor, const RelayUrl& relay,
                       std::shared_ptr<carrier::TlsTrust> trust, link::ExitIdentity identity,
                       std::function<void()> on_registered, std::function<void(const Error&)> on_end)
    : executor_(std::move(executor)),
      relay_(relay),
      identity_(std::move(identity)),
      exit_key_(crypto::KeyPair::from_private(identity_.static_secret.clone())) {
  carrier::DialOptions dial;
  dial.trust = std::move(trust);
  dialler_ = std::make_shared<carrier::NetworkDialler>(std::move(dial));
  link_.relays = {relay_};
  link_.room = identity_.room;
  link_.exit_public_key = exit_key_.public_key;
  link_.invite = random_array<8>();
  link_.psk = Key::random();
  exit::ControlLineOptions options;
  options.relay = relay_;
  options.room = identity_.room;
  options.instance = random_array<8>();
  options.room_public = identity_.room_public;
  options.dialler = dialler_;
  exit::ControlLine::Handlers handlers;
  handlers.sign = [this](ByteView message) {
    Bytes signature(crypto_sign_BYTES);
    crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                         identity_.room_secret.data());
    return signature;
  };
  handlers.on_registered = [on_registered](const exit::ControlLine*) { on_registered(); };
  handlers.on_knock = [this](const PairId& pair) {
    asio::co_spawn(executor_, answer(pair), net::RethrowFailure{});
  };
  handlers.on_end = [on_end](const exit::ControlLine*, const Error& why) { on_end(why); };
  line_ = std::make_shared<exit::ControlLine>(executor_, std::move(options), std::move(handlers));
  line_->start();
}

Task<Pair> PairSource::make() {
  const std::uint64_t number = next_++;
  auto dialled = co_await dialler_->dial(
      executor_, relay_, "/v1/rooms/" + format_room(link_.room) + "/client", carrier::kDialWithin);
  if (!dialled) co_return dialled.error();
  carrier::CarrierPtr carrier = std::move(*dialled);
  auto paired = co_await tunnel::read_paired(*carrier);
  if (!paired) co_return paired.error();
  auto keys = co_await tunnel::initiate(*carrier, std::move(*paired), link_, client_key_);
  if (!keys) co_return keys.error();
  auto client = std::make_shared<Half>(std::move(carrier), std::move(*keys));
  const auto sent = co_await send_number(*client, number);
  if (!sent) co_return sent.error();
  const auto back = co_await receive_number(*client);
  if (!back) co_return back.error();
  const auto found = arrived_.find(number);
  if (*back != number || found == arrived_.end()) co_return make_error(ErrorKind::kProtocol, "another pair");
  HalfPtr far = std::move(found->second);
  arrived_.erase(found);
  co_return Pair(std::move(client), std::move(far));
}

// The client sees what goes wrong here as the end of its half.
asio::awaitable<void> PairSource::answer(PairId pair) {
  const auto met = co_await meet(pair);
  (void)met;
}

Task<> PairSource::meet(PairId pair) {
  const std::string target = "/v1/rooms/" + format_room(link_.room) + "/pairs/" + to_base64url(pair);
  auto dialled = co_await dialler_->dial(executor_, relay_, target, carrier::kDialWithin);
  if (!dialled) co_return dialled.error();
  carrier::CarrierPtr carrier = std::move(*dialled);
  auto paired = co_await tunnel::read_paired(*carrier);
  if (!paired) co_return paired.error();
  tunnel::Authorize authorize = [this](const tunnel::Claim&) { return link_.psk.clone(); };
  tunnel::IsNew is_new = [](const PublicKey&) { return true; };
  auto accepted = co_await tunnel::respond(*carrier, std::move(*paired), link_.room, exit_key_,
                                           std::move(authorize), std::move(is_new));
  if (!accepted) co_return accepted.error();
  auto half = std::make_shared<Half>(std::move(carrier), std::move(accepted->keys));
  const auto number = co_await receive_number(*half);
  if (!number) co_return number.error();
  arrived_[*number] = half;
  const auto sent = co_await send_number(*half, *number);
  co_return sent;
}

}  // namespace zks::bench
