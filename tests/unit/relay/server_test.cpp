// SPDX-License-Identifier: MIT
//
// The embedded server with peers made by dial(), on several loops and threads: what the demo does, and what
// the thread sanitizer looks at.
#include "relay/server.hpp"

#include <optional>

#include <gtest/gtest.h>
#include <sodium.h>

#include "../carrier/certificate.hpp"
#include "../support/run.hpp"
#include "carrier/dial.hpp"
#include "carrier/relay_control.hpp"
#include "relay/event_loops.hpp"

namespace zks::relay {
namespace {

namespace asio = boost::asio;
using carrier::Buffer;
using carrier::CarrierPtr;
using carrier::MessageType;
using test::run;

constexpr int kPairs = 8;
constexpr int kMessages = 200;

// A server on loops of its own, each with a thread; it is stopped and the loops run out at the end.
class ServerTest : public testing::Test {
 protected:
  void start(Options options, std::size_t threads) {
    options.listen = {{boost::asio::ip::address_v4::loopback(), 0}};
    options.join_rate = 0;
    loops_.emplace(threads);
    auto server = Server::start(std::move(options), loops_->executors());
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
    loops_->run([](const std::exception_ptr&) { ADD_FAILURE() << "an exception came out of a loop"; }, [] {});
  }
  void TearDown() override {
    if (server_) server_->stop();
    if (loops_) loops_->finish();
  }
  RelayUrl url(bool tls) const {
    return {.tls = tls, .host = "127.0.0.1", .port = server_->endpoints().at(0).port(), .prefix = {}};
  }

  asio::io_context io_;
  std::optional<EventLoops> loops_;
  std::unique_ptr<Server> server_;
};

struct RoomKey {
  RoomKey() {
    crypto_sign_keypair(public_key.data(), secret.data());
    path = "/v1/rooms/" + format_room(derive_room_id(public_key));
  }
  PublicKey public_key;
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  std::string path;
};

asio::awaitable<carrier::Control> read_control(carrier::Carrier* from) {
  Buffer buffer;
  const auto type = co_await from->read(buffer);
  if (!type) throw std::runtime_error(type.error().text);
  auto message = carrier::decode_control({static_cast<const char*>(buffer.data().data()), buffer.size()});
  if (!message) throw std::runtime_error(message.error().text);
  co_return std::move(*message);
}

asio::awaitable<CarrierPtr> dial(asio::io_context* io, RelayUrl url, std::string path,
                                 carrier::DialOptions options) {
  auto dialled = co_await carrier::dial(io->get_executor(), url, path, options);
  if (!dialled) throw std::runtime_error(dialled.error().text);
  co_return std::move(*dialled);
}

asio::awaitable<CarrierPtr> register_exit(asio::io_context* io, RelayUrl url, const RoomKey* room,
                                          carrier::DialOptions options) {
  const InstanceId instance{};
  CarrierPtr control =
      co_await dial(io, url, room->path + "/exit?instance=" + to_base64url(instance), options);
  const carrier::Control asked = co_await read_control(control.get());
  const auto nonce = std::get<carrier::Challenge>(asked).nonce;
  const Bytes message =
      carrier::registration_message(nonce, url.authority(), derive_room_id(room->public_key), instance);
  carrier::Register answer{room->public_key, {}};
  crypto_sign_detached(answer.signature.data(), nullptr, message.data(), message.size(), room->secret.data());
  const std::string text = carrier::encode_control(answer);
  const Result<> sent = co_await control->write(MessageType::kText, as_bytes(text));
  if (!sent) throw std::runtime_error(sent.error().text);
  const carrier::Control registered = co_await read_control(control.get());
  if (!std::holds_alternative<carrier::Registered>(registered)) throw std::runtime_error("not registered");
  co_return std::move(control);
}

struct TestPair {
  CarrierPtr client;
  CarrierPtr exit;
};

asio::awaitable<void> make_pairs(asio::io_context* io, RelayUrl url, const RoomKey* room,
                                 carrier::DialOptions options, std::vector<TestPair>* out,
                                 CarrierPtr* control) {
  *control = co_await register_exit(io, url, room, options);
  for (int i = 0; i < kPairs; ++i) {
    TestPair pair;
    pair.client = co_await dial(io, url, room->path + "/client", options);
    const carrier::Control knock = co_await read_control(control->get());
    const std::string name = to_base64url(std::get<carrier::Knock>(knock).pair);
    pair.exit = co_await dial(io, url, room->path + "/pairs/" + name, options);
    const carrier::Control first = co_await read_control(pair.client.get());
    const carrier::Control second = co_await read_control(pair.exit.get());
    if (!std::get<carrier::Paired>(first).remote_key.equals(
            std::get<carrier::Paired>(second).remote_key.view())) {
      throw std::runtime_error("different keys");
    }
    out->push_back(std::move(pair));
  }
}

asio::awaitable<void> send_numbered(carrier::Carrier* to) {
  Bytes message(10'000);
  for (int i = 0; i < kMessages; ++i) {
    store_be(static_cast<std::uint32_t>(i), message.data());
    const Result<> sent = co_await to->write(MessageType::kBinary, message);
    if (!sent) throw std::runtime_error(sent.error().text);
  }
}

asio::awaitable<void> receive_numbered(carrier::Carrier* from, int* received) {
  Buffer buffer;
  while (*received < kMessages) {
    const auto type = co_await from->read(buffer);
    if (!type) throw std::runtime_error(type.error().text);
    if (*type == MessageType::kText) continue;  // a mark; the window is larger than this test
    const auto number = load_be<std::uint32_t>(static_cast<const std::uint8_t*>(buffer.data().data()));
    if (buffer.size() != 10'000 || number != static_cast<std::uint32_t>(*received)) {
      throw std::runtime_error("out of order");
    }
    ++*received;
  }
}

asio::awaitable<void> read_close(carrier::Carrier* from, int* code) {
  Buffer buffer;
  while (true) {
    const auto type = co_await from->read(buffer);
    if (type) continue;
    *code = type.error().detail;
    co_return;
  }
}

TEST_F(ServerTest, ForwardsBetweenLoopsOverTls) {
  const test::Certificate certificate = test::make_certificate("IP:127.0.0.1");
  const test::TemporaryFile chain(certificate.certificate_pem());
  const test::TemporaryFile key(certificate.key_pem());
  Options options;
  options.tls = TlsFiles{chain.path(), key.path()};
  start(options, 3);
  carrier::DialOptions dialling;
  dialling.pin = certificate.pin();
  const RoomKey room;
  CarrierPtr control;
  std::vector<TestPair> pairs;
  run(io_, make_pairs(&io_, url(true), &room, dialling, &pairs, &control));
  ASSERT_EQ(pairs.size(), std::size_t{kPairs});

  std::vector<int> received(2 * kPairs, 0);
  int running = 0;
  std::exception_ptr failure;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    running += 4;
    const test::Finish finish{&running, &failure};
    asio::co_spawn(io_, send_numbered(pairs[i].client.get()), finish);
    asio::co_spawn(io_, receive_numbered(pairs[i].exit.get(), &received[2 * i]), finish);
    asio::co_spawn(io_, send_numbered(pairs[i].exit.get()), finish);
    asio::co_spawn(io_, receive_numbered(pairs[i].client.get(), &received[2 * i + 1]), finish);
  }
  io_.restart();
  while (running > 0 && !failure && io_.run_one_for(test::kHangLimit) != 0) {
  }
  if (failure) std::rethrow_exception(failure);
  for (const int count : received) EXPECT_EQ(count, kMessages);
}

using SeenKeys = std::vector<std::pair<std::uint64_t, std::string>>;

// Reads up to the next binary message, and answers keys and marks on the way.
asio::awaitable<void> read_and_answer(carrier::Carrier* from, SeenKeys* keys) {
  Buffer buffer;
  while (true) {
    const auto type = co_await from->read(buffer);
    if (!type) throw std::runtime_error(type.error().text);
    if (*type == MessageType::kBinary) co_return;
    const std::string_view text(static_cast<const char*>(buffer.data().data()), buffer.size());
    auto control = carrier::decode_control(text);
    if (!control) throw std::runtime_error(control.error().text);
    std::string answer(text);
    if (const auto* key = std::get_if<carrier::NewKey>(&*control)) {
      keys->emplace_back(key->epoch, to_hex(key->remote_key.view()));
      answer = carrier::encode_control(carrier::KeySeen{key->epoch});
    }
    const Result<> sent = co_await from->write(MessageType::kText, as_bytes(answer));
    if (!sent) throw std::runtime_error(sent.error().text);
  }
}

asio::awaitable<void> play_ping_pong(TestPair* pair, SeenKeys* client_keys, SeenKeys* exit_keys) {
  const Bytes message(10'000);
  for (int i = 0; i < kMessages; ++i) {
    const Result<> ping = co_await pair->client->write(MessageType::kBinary, message);
    if (!ping) throw std::runtime_error(ping.error().text);
    co_await read_and_answer(pair->exit.get(), exit_keys);
    const Result<> pong = co_await pair->exit->write(MessageType::kBinary, message);
    if (!pong) throw std::runtime_error(pong.error().text);
    co_await read_and_answer(pair->client.get(), client_keys);
  }
}

TEST_F(ServerTest, HalvesOnDifferentLoopsGetTheSameKeys) {
  Options options;
  options.rotate_bytes = 30'000;
  start(options, 3);
  const RoomKey room;
  CarrierPtr control;
  std::vector<TestPair> pairs;
  run(io_, make_pairs(&io_, url(false), &room, {}, &pairs, &control));
  for (TestPair& pair : pairs) {
    SeenKeys client;
    SeenKeys exit;
    run(io_, play_ping_pong(&pair, &client, &exit));
    // 400 messages, a key every third or fourth; the last one may not have reached the exit.
    ASSERT_GE(exit.size(), 90U);
    ASSERT_LE(client.size() - exit.size(), 1U);
    client.resize(exit.size());
    EXPECT_EQ(client, exit);
    for (std::size_t i = 0; i < exit.size(); ++i) ASSERT_EQ(exit[i].first, i + 1);
  }
}

TEST_F(ServerTest, StoppingClosesEveryoneWith1012) {
  start({}, 2);
  const RoomKey room;
  CarrierPtr control;
  std::vector<TestPair> pairs;
  run(io_, make_pairs(&io_, url(false), &room, {}, &pairs, &control));
  int client = 0;
  int exit = 0;
  int registered = 0;
  server_->stop();
  run(io_, read_close(pairs[0].client.get(), &client), read_close(pairs[0].exit.get(), &exit),
      read_close(control.get(), &registered));
  EXPECT_EQ(client, carrier::close_code::kRestart);
  EXPECT_EQ(exit, carrier::close_code::kRestart);
  EXPECT_EQ(registered, carrier::close_code::kRestart);
}

TEST_F(ServerTest, SaysWhyItCantStart) {
  asio::io_context loop;
  Options options;
  options.tls = TlsFiles{"/nonexistent", "/nonexistent"};
  const auto no_file = Server::start(options, {loop.get_executor()});
  ASSERT_FALSE(no_file);
  EXPECT_EQ(no_file.error().kind, ErrorKind::kUsage);

  start({}, 1);
  options.tls.reset();
  options.listen = server_->endpoints();
  const auto taken = Server::start(options, {loop.get_executor()});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::kIo);
}

TEST_F(ServerTest, AMismatchedKeyIsRefused) {
  const test::Certificate one = test::make_certificate("IP:127.0.0.1");
  const test::Certificate other = test::make_certificate("IP:127.0.0.1");
  const test::TemporaryFile chain(one.certificate_pem());
  const test::TemporaryFile key(other.key_pem());
  asio::io_context loop;
  Options options;
  options.tls = TlsFiles{chain.path(), key.path()};
  const auto server = Server::start(options, {loop.get_executor()});
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace zks::relay
