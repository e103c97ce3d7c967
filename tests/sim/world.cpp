// SPDX-License-Identifier: MIT
#include "world.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "../unit/support/temporary_directory.hpp"
#include "link/issue_link.hpp"
#include "net/spawn.hpp"
#include "seeded_random.hpp"

namespace zks::sim {
namespace {

using namespace std::chrono_literals;

// What is on disk is made once: of all seeds the same exit, the same invite, and the same device, which is
// pinned already, so that no thread has a part in a session's beginning.
struct Disk {
  Disk() {
    seed_randomness(0);
    auto state = link::StateDirectory::open(root.path());
    identity = std::move(*state->load_or_create_exit_identity());
    auto made = state->add_invite("alice", std::nullopt, 5);
    client_key = crypto::KeyPair::generate();
    (void)state->pin_device(made->id, client_key.public_key, std::time(nullptr));
    invite = std::move(*made);
  }
  static Disk& shared() {
    static Disk disk;
    return disk;
  }

  test::TemporaryDirectory root;
  link::ExitIdentity identity;
  link::Invite invite;
  crypto::KeyPair client_key;
};

}  // namespace

std::string relay_name(std::size_t index) {
  return "r" + std::to_string(index) + ".test";
}

World::World(const WorldOptions& options, OnConnect on_connect)
    : relays(std::make_shared<MemoryRelays>(options.rotate_bytes, options.rotate_after)),
      options_(options),
      on_connect_(std::move(on_connect)) {
  (void)Disk::shared();
  seed_randomness(options.seed);
  for (std::size_t i = 0; i < options.relays; ++i)
    hosts_.push_back(*parse_relay_url("wss://" + relay_name(i)));
}

World::~World() {
  const std::weak_ptr<tunnel::Client> old_client = client;
  if (exit) killed_.push_back(exit);
  if (client) client->stop();
  if (exit) exit->stop();
  client.reset();
  exit.reset();
  // An exit's last words go to the disk by a thread, which takes its own time.
  const auto is_gone = [](const auto& weak) { return weak.expired(); };
  bool over = false;
  for (int tries = 0; tries < 1000 && !over; ++tries) {
    over = VirtualTime::run_out(loop, 20s) && old_client.expired() && std::ranges::all_of(killed_, is_gone);
    if (!over) ::usleep(1000);
  }
  EXPECT_TRUE(loop.stopped()) << "a task or a timer is left over";
  EXPECT_TRUE(relays->hold_nothing()) << "a relay has something that belongs to nobody";
  relays->stop_all();
  EXPECT_TRUE(VirtualTime::run_out(loop, 20s)) << "a task or a timer of a relay is left over";
  EXPECT_TRUE(relays->is_over()) << "a relay is held by something";
  EXPECT_TRUE(old_client.expired()) << "the client is held by something";
  EXPECT_TRUE(std::ranges::all_of(killed_, is_gone)) << "an exit is held by something";
}

void World::start_exit() {
  exit::ExitPeerOptions options;
  options.relays = hosts_;
  options.dialler = relays;
  options.sessions.connect = [this](asio::any_io_executor, session::Destination destination,
                                    std::shared_ptr<const exit::Policy>, std::shared_ptr<exit::GuestResolver>,
                                    exit::ConnectOptions) { return connect(std::move(destination)); };
  options.sessions.orphan_timeout = options_.orphan_timeout;
  options.control_refresh = options_.control_refresh;
  auto resolver = net::Resolver::create(loop.get_executor(), [] {
    net::LookupOptions lookups;
    lookups.servers = "127.0.0.1:9";  // nothing is looked up
    return lookups;
  }());
  auto state = link::StateDirectory::open(Disk::shared().root.path());
  auto identity = state->load_or_create_exit_identity();
  exit = std::make_shared<exit::ExitPeer>(
      loop.get_executor(), std::move(options), std::move(*identity),
      exit::InviteStore(std::move(*state), loop.get_executor(), std::make_shared<exit::Policy>(exit::Rules{}),
                        std::make_shared<exit::StateWriter>(loop.get_executor())),
      std::make_shared<exit::GuestResolver>(std::move(*resolver)), exit::ExitPeer::Handlers{});
  exit->start();
}

void World::kill_exit() {
  for (std::size_t i = 0; i < options_.relays; ++i) relays->cut(relay_name(i));
  exit->stop();
  killed_.push_back(exit);
  exit.reset();
}

void World::start_client() {
  tunnel::ClientOptions options;
  options.source.link = link::issue_link(Disk::shared().identity, {hosts_, {}}, Disk::shared().invite);
  options.source.key = Disk::shared().client_key.clone();
  options.source.dialler = relays;
  options.lanes = options_.lanes;
  options.renew_after = options_.renew_after;
  tunnel::Client::Handlers handlers;
  handlers.on_up = [this] { ++sessions; };
  client = std::make_shared<tunnel::Client>(loop.get_executor(), std::move(options), std::move(handlers));
  client->start();
}

session::Destination World::destination(const std::string& name) {
  session::Destination out;
  out.name = name;
  out.port = 80;
  return out;
}

tunnel::StreamPtr World::open(const std::string& name) {
  std::optional<tunnel::StreamPtr> opened;
  asio::co_spawn(loop, client->open(destination(name)),
                 [&](std::exception_ptr failure, tunnel::OpenOutcome outcome) {
                   EXPECT_EQ(failure, nullptr);
                   opened = std::move(outcome.stream);
                 });
  EXPECT_TRUE(until([&] { return opened.has_value(); }));
  return opened.value_or(nullptr);
}

// The exit has a socket, as it always has; no kernel's TCP, whose timers go by another clock, is behind it.
asio::awaitable<exit::ConnectOutcome> World::connect(session::Destination destination) {
  exit::ConnectOutcome out;
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) co_return out;
  out.socket.emplace(loop);
  out.socket->assign(asio::ip::tcp::v4(), ends[0]);
  out.bound.kind = session::Destination::Kind::kIpv4;
  on_connect_(destination.name, Target(loop, asio::local::stream_protocol(), ends[1]));
  co_return out;
}

}  // namespace zks::sim
