// SPDX-License-Identifier: MIT
#include "memory_relays.hpp"

#include <algorithm>
#include <vector>

#include "carrier/memory.hpp"
#include "net/wakeup.hpp"
#include "relay/admission.hpp"
#include "relay/pending_connection.hpp"

namespace zks::sim {
namespace {

using carrier::Task;
using std::chrono::steady_clock;

constexpr std::size_t kLeastQueueBytes = 16 * 1024;
constexpr std::size_t kMostQueueBytes = 256 * 1024;
constexpr std::size_t kManyMessages = 1 << 20;  // their bytes are what is bounded

// Clients are behind one address, exits behind another.
const auto kClients = asio::ip::make_address("192.0.2.1");
const auto kExits = asio::ip::make_address("192.0.2.2");
const auto kRelay = asio::ip::make_address("192.0.2.3");

carrier::UpgradeRequest request_for(const std::string& target, const std::string& authority) {
  namespace http = boost::beast::http;
  carrier::UpgradeRequest request(http::verb::get, target, 11);
  request.set(http::field::host, authority);
  request.set(http::field::connection, "Upgrade");
  request.set(http::field::upgrade, "websocket");
  request.set(http::field::sec_websocket_version, "13");
  request.set(http::field::sec_websocket_key, "AAAAAAAAAAAAAAAAAAAAAA==");
  return request;
}

}  // namespace

struct MemoryRelays::Host {
  struct Connection {
    std::shared_ptr<carrier::MemoryLink> link;
    bool registers = false;  // an exit's control socket
  };

  bool up = true;
  bool frozen = false;
  carrier::MemoryPath path{.queue_messages = kManyMessages, .queue_bytes = kMostQueueBytes};
  relay::Options options;
  std::size_t dials = 0;
  std::vector<Connection> connections;
  relay::RelayPtr relay;  // its process; null while it is stopped
  std::vector<std::weak_ptr<relay::Relay>> gone;
  std::size_t pairs_of_gone = 0;
  std::size_t keys_of_gone = 0;

  const relay::RelayPtr& running(const asio::any_io_executor& executor) {
    if (relay) return relay;
    relay = std::make_shared<relay::Relay>(options);
    relay->loops.push_back(std::make_shared<relay::Loop>(executor, options.max_held_bytes));
    return relay;
  }
  void cut() {
    for (const Connection& connection : std::exchange(connections, {})) connection.link->cut();
  }
  void stop() {
    up = false;
    cut();
    if (!relay) return;
    pairs_of_gone += relay->loops[0]->counters().pairs.get();
    keys_of_gone += relay->loops[0]->counters().keys.get();
    relay->loops[0]->stop();
    gone.push_back(relay);
    relay.reset();
  }
  void forget_closed() {
    std::erase_if(connections, [](const Connection& connection) { return connection.link->is_cut(); });
  }
};

namespace {

using HostPtr = std::shared_ptr<MemoryRelays::Host>;

// A dialler's wait, on a relay that does not answer.
asio::awaitable<void> wait_while_frozen(asio::any_io_executor executor, HostPtr host,
                                        std::chrono::milliseconds within) {
  constexpr std::chrono::milliseconds kLookEvery{20};
  const auto deadline = steady_clock::now() + within;
  net::Wakeup wakeup(executor);
  while (host->frozen && steady_clock::now() < deadline)
    co_await wakeup.wait_until(steady_clock::now() + kLookEvery);
}

// As relay/connection.cpp does it, from the request on.
Task<carrier::CarrierPtr> reach(HostPtr host, asio::any_io_executor executor, RelayUrl url,
                                std::string target, std::chrono::milliseconds within) {
  ++host->dials;
  co_await wait_while_frozen(executor, host, within);
  if (host->frozen) co_return make_error(ErrorKind::kTimeout, url.text() + " does not answer");
  if (!host->up) co_return make_error(ErrorKind::kNetwork, url.text() + " is not there");
  const relay::RelayPtr relay = host->running(executor);
  const relay::Route route = relay::parse_route(target);
  const relay::Source source(std::holds_alternative<relay::ClientRoute>(route) ? kClients : kExits);
  relay::HandshakeSlot slot(relay, source, /*shared=*/false);
  auto verdict =
      relay::admit(*relay, request_for(target, url.authority()), route, relay::Ends{source, kRelay});
  if (verdict.status != 101) {
    co_return make_error(ErrorKind::kRefused, url.text() + " refused", static_cast<int>(verdict.status));
  }
  carrier::MemoryPair ends = carrier::make_memory_pair(executor, host->path);
  host->forget_closed();
  host->connections.push_back({ends.link, std::holds_alternative<relay::ExitRoute>(route)});
  const auto connection = std::make_shared<relay::PendingConnection>(relay, relay->loops[0], std::move(slot));
  relay::PendingConnection::Request request{route, url.authority(), source, std::move(verdict.slot)};
  relay::PendingConnection::start(connection,
                                  connection->take_place(std::move(ends.second), std::move(request)));
  co_return std::move(ends.first);
}

}  // namespace

const HostPtr& MemoryRelays::at(const std::string& host) {
  auto& found = hosts_[host];
  if (!found) {
    found = std::make_shared<Host>();
    found->options.names = {host};
    found->options.rotate_bytes = rotate_bytes_;
    found->options.rotate_after = rotate_after_;
  }
  return found;
}

void MemoryRelays::stop(const std::string& host) {
  at(host)->stop();
}

void MemoryRelays::start(const std::string& host) {
  at(host)->up = true;
}

void MemoryRelays::cut(const std::string& host) {
  at(host)->cut();
}

void MemoryRelays::freeze(const std::string& host, bool on) {
  at(host)->frozen = on;
  for (const auto& connection : at(host)->connections) connection.link->stall(on);
}

void MemoryRelays::cut_exits(const std::string& host) {
  for (const auto& connection : at(host)->connections) {
    if (connection.registers) connection.link->cut();
  }
}

void MemoryRelays::set_path(const std::string& host, std::chrono::milliseconds delay,
                            std::uint64_t bytes_per_second) {
  carrier::MemoryPath& path = at(host)->path;
  path.delay = delay / 2;
  path.bytes_per_second = bytes_per_second;
  // A quarter of a second's worth: a slow reader, and a slow path, are felt.
  path.queue_bytes = std::clamp<std::size_t>(bytes_per_second / 4, kLeastQueueBytes, kMostQueueBytes);
}

std::size_t MemoryRelays::dials(const std::string& host) {
  return at(host)->dials;
}

std::size_t MemoryRelays::pairs(const std::string& host) {
  const Host& found = *at(host);
  return found.pairs_of_gone + (found.relay ? found.relay->loops[0]->counters().pairs.get() : 0);
}

std::size_t MemoryRelays::keys() {
  std::size_t out = 0;
  for (const auto& [name, host] : hosts_)
    out += host->keys_of_gone + (host->relay ? host->relay->loops[0]->counters().keys.get() : 0);
  return out;
}

bool MemoryRelays::has_exit(const std::string& host) {
  const auto& relay = at(host)->relay;
  return relay && relay->rooms.registered_exits() > 0;
}

bool MemoryRelays::hold_nothing() const {
  return std::ranges::all_of(hosts_, [](const auto& entry) {
    const auto& relay = entry.second->relay;
    return !relay || (relay->rooms.rooms() == 0 && relay->rooms.pairs() == 0 &&
                      relay->rooms.registered_exits() == 0 && relay->handshakes.size() == 0);
  });
}

void MemoryRelays::stop_all() {
  for (const auto& [name, host] : hosts_) host->stop();
}

bool MemoryRelays::is_over() const {
  return std::ranges::all_of(hosts_, [](const auto& entry) {
    return std::ranges::all_of(entry.second->gone, [](const auto& relay) { return relay.expired(); });
  });
}

Task<carrier::CarrierPtr> MemoryRelays::dial(asio::any_io_executor executor, RelayUrl relay,
                                             std::string target, std::chrono::milliseconds within) {
  const HostPtr host = at(relay.host);
  return reach(host, std::move(executor), std::move(relay), std::move(target), within);
}

}  // namespace zks::sim
