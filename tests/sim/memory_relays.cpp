// SPDX-License-Identifier: MIT
#include "memory_relays.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <sodium.h>

#include "carrier/memory.hpp"
#include "carrier/relay_control.hpp"
#include "net/spawn.hpp"
#include "net/wakeup.hpp"

namespace zks::sim {
namespace {

using carrier::Carrier;
using carrier::MessageType;
using carrier::Task;
namespace close_code = carrier::close_code;

using std::chrono::steady_clock;

using SharedCarrier = std::shared_ptr<Carrier>;

// More than a window of messages: a relay's queue, which the ends' marks bound, is not what is tested here.
constexpr std::size_t kQueuedMessages = 4096;
constexpr std::uint64_t kWindow = 16 * 1024 * 1024;

Task<> say(SharedCarrier carrier, carrier::Control control) {
  const std::string text = carrier::encode_control(control);
  co_return co_await carrier->write(MessageType::kText, as_bytes(text));
}

Task<carrier::Control> hear(SharedCarrier carrier) {
  carrier::Buffer buffer;
  const auto type = co_await carrier->read(buffer);
  if (!type) co_return type.error();
  if (*type != MessageType::kText) co_return make_error(ErrorKind::kProtocol, "not a text");
  co_return carrier::decode_control(
      as_text(ByteView(static_cast<const std::uint8_t*>(buffer.cdata().data()), buffer.size())));
}

asio::awaitable<void> close(SharedCarrier carrier, std::uint16_t code) {
  const auto closed = co_await carrier->close(code);
  (void)closed;
}

}  // namespace

struct MemoryRelays::Relay {
  // One exit process, by the instance that it registered.
  struct Exit {
    std::string instance;
    SharedCarrier carrier;
  };

  bool up = true;
  bool frozen = false;
  std::chrono::milliseconds delay{0};
  std::uint64_t bytes_per_second = std::uint64_t{1} << 40;
  std::size_t dials = 0;
  std::size_t pairs = 0;
  std::vector<std::shared_ptr<carrier::MemoryLink>> links;
  std::map<std::string, std::vector<Exit>> exits;  // by room; the last that registered stands last
  std::map<std::string, SharedCarrier> waiting;    // clients, by pair

  // An empty instance: any.
  SharedCarrier find_exit(const std::string& room, const std::string& instance) const {
    const auto at = exits.find(room);
    if (at == exits.end()) return nullptr;
    for (auto exit = at->second.rbegin(); exit != at->second.rend(); ++exit) {
      if (instance.empty() || exit->instance == instance) return exit->carrier;
    }
    return nullptr;
  }
  void forget_exit(const std::string& room, const SharedCarrier& carrier) {
    std::erase_if(exits[room], [&](const Exit& exit) { return exit.carrier == carrier; });
  }
  void cut() {
    for (const auto& link : links) link->cut();
    links.clear();
    exits.clear();
    waiting.clear();
  }
};

namespace {

using RelayPtr = std::shared_ptr<MemoryRelays::Relay>;

// What stands behind "/v1/rooms/": the room, what is wanted there, and of which instance or pair.
struct Target {
  std::string room;
  std::string what;
  std::string argument;
};

Target parse(const std::string& target) {
  const std::string path = target.substr(std::string("/v1/rooms/").size());
  const std::size_t slash = path.find('/');
  const std::size_t end = path.find_first_of("/?", slash + 1);
  Target out{path.substr(0, slash), path.substr(slash + 1, end - slash - 1), ""};
  if (end != std::string::npos) out.argument = path.substr(path.find_first_of("/=", end) + 1);
  return out;
}

bool is_signed(const carrier::Register& answer, const carrier::Challenge& challenge,
               const std::string& authority, const Target& target) {
  const auto room = parse_room(target.room);
  const auto instance = parse_name<8>(target.argument);
  if (!room || !instance || derive_room_id(answer.room_key) != *room) return false;
  const Bytes message = carrier::registration_message(challenge.nonce, authority, *room, *instance);
  return crypto_sign_verify_detached(answer.signature.data(), message.data(), message.size(),
                                     answer.room_key.data()) == 0;
}

Task<> answer_pings(SharedCarrier carrier) {
  for (;;) {
    const auto heard = co_await hear(carrier);
    if (!heard) co_return heard.error();
    if (!std::holds_alternative<carrier::Ping>(*heard)) continue;
    const auto said = co_await say(carrier, carrier::Pong{});
    if (!said) co_return said.error();
  }
}

asio::awaitable<void> serve_exit(RelayPtr relay, SharedCarrier carrier, std::string authority,
                                 Target target) {
  carrier::Challenge challenge{random_array<32>()};
  const auto asked = co_await say(carrier, challenge);
  if (!asked) co_return;
  const auto heard = co_await hear(carrier);
  const auto* answer = heard ? std::get_if<carrier::Register>(&*heard) : nullptr;
  if (answer == nullptr || !is_signed(*answer, challenge, authority, target))
    co_return co_await close(carrier, close_code::kForbidden);
  std::erase_if(relay->exits[target.room],
                [&](const auto& exit) { return exit.instance == target.argument; });
  relay->exits[target.room].push_back({target.argument, carrier});
  const auto told = co_await say(carrier, carrier::Registered{});
  if (told) {
    const auto ended = co_await answer_pings(carrier);
    (void)ended;
  }
  relay->forget_exit(target.room, carrier);
}

asio::awaitable<void> serve_client(RelayPtr relay, SharedCarrier carrier, Target target) {
  const SharedCarrier exit = relay->find_exit(target.room, target.argument);
  if (!exit) co_return co_await close(carrier, close_code::kNoExit);
  const PairId pair = random_array<16>();
  relay->waiting[to_base64url(pair)] = carrier;
  const auto knocked = co_await say(exit, carrier::Knock{pair});
  if (!knocked) relay->waiting.erase(to_base64url(pair));
}

// One direction of a pair, and what is on its way there.
struct Passage {
  Passage(SharedCarrier source, SharedCarrier sink, const MemoryRelays::Relay& relay)
      : from(std::move(source)),
        to(std::move(sink)),
        changed(from->executor()),
        delay(relay.delay),
        bytes_per_second(relay.bytes_per_second) {}

  struct Message {
    steady_clock::time_point due;
    Bytes bytes;
  };
  SharedCarrier from;
  SharedCarrier to;
  net::Wakeup changed;
  std::chrono::milliseconds delay;
  std::uint64_t bytes_per_second;
  std::deque<Message> messages;
  steady_clock::time_point sent_at;   // the last of them has passed the narrowest place
  std::optional<std::uint16_t> code;  // the end, after all of them

  void take(ByteView bytes) {
    const auto takes = std::chrono::nanoseconds(1'000'000'000 * bytes.size() / bytes_per_second);
    sent_at = std::max(sent_at, steady_clock::now()) + takes;
    messages.push_back({sent_at + delay, Bytes(bytes.begin(), bytes.end())});
    changed.notify();
  }
};
using PassagePtr = std::shared_ptr<Passage>;

// A text is for the relay; whatever it says, this one knows only `ping`.
asio::awaitable<void> take_in(PassagePtr passage) {
  carrier::Buffer buffer;
  for (;;) {
    const auto type = co_await passage->from->read(buffer);
    if (!type) {
      passage->code = static_cast<std::uint16_t>(type.error().detail);
      passage->changed.notify();
      co_return;
    }
    const ByteView bytes(static_cast<const std::uint8_t*>(buffer.cdata().data()), buffer.size());
    if (*type == MessageType::kBinary) {
      passage->take(bytes);
      continue;
    }
    const auto control = carrier::decode_control(as_text(bytes));
    if (!control || !std::holds_alternative<carrier::Ping>(*control)) continue;
    const auto said = co_await say(passage->from, carrier::Pong{});
    (void)said;  // what is wrong shows when it is read next
  }
}

asio::awaitable<void> give_out(PassagePtr passage) {
  for (;;) {
    while (passage->messages.empty() && !passage->code) co_await passage->changed.wait();
    if (passage->messages.empty()) break;
    const auto due = passage->messages.front().due;
    while (steady_clock::now() < due) co_await passage->changed.wait_until(due);
    const Bytes bytes = std::move(passage->messages.front().bytes);
    passage->messages.pop_front();
    const auto sent = co_await passage->to->write(MessageType::kBinary, bytes);
    if (!sent) co_return passage->from->abort();
  }
  if (*passage->code == 0) co_return passage->to->abort();
  co_await close(passage->to, *passage->code);
}

void pass(SharedCarrier from, SharedCarrier to, const MemoryRelays::Relay& relay) {
  const auto passage = std::make_shared<Passage>(std::move(from), std::move(to), relay);
  asio::co_spawn(passage->from->executor(), take_in(passage), net::RethrowFailure{});
  asio::co_spawn(passage->from->executor(), give_out(passage), net::RethrowFailure{});
}

asio::awaitable<void> serve_pair(RelayPtr relay, SharedCarrier exit, Target target) {
  const auto at = relay->waiting.find(target.argument);
  if (at == relay->waiting.end()) co_return co_await close(exit, close_code::kPairGone);
  const SharedCarrier client = at->second;
  relay->waiting.erase(at);
  const Key remote = Key::random();
  for (const SharedCarrier& half : {client, exit}) {
    carrier::Paired paired{1, 0, remote.clone(), kWindow};
    const auto told = co_await say(half, std::move(paired));
    if (!told) {
      client->abort();
      exit->abort();
      co_return;
    }
  }
  ++relay->pairs;
  pass(client, exit, *relay);
  pass(exit, client, *relay);
}

// A dialler's wait, on a relay that does not answer.
asio::awaitable<void> wait_while_frozen(asio::any_io_executor executor, RelayPtr relay,
                                        std::chrono::milliseconds within) {
  constexpr std::chrono::milliseconds kLookEvery{20};
  const auto deadline = steady_clock::now() + within;
  net::Wakeup wakeup(executor);
  while (relay->frozen && steady_clock::now() < deadline)
    co_await wakeup.wait_until(steady_clock::now() + kLookEvery);
}

Task<carrier::CarrierPtr> reach(RelayPtr relay, asio::any_io_executor executor, RelayUrl url, Target target,
                                std::chrono::milliseconds within) {
  ++relay->dials;
  co_await wait_while_frozen(executor, relay, within);
  if (relay->frozen) co_return make_error(ErrorKind::kTimeout, url.text() + " does not answer");
  if (!relay->up) co_return make_error(ErrorKind::kNetwork, url.text() + " is not there");
  carrier::MemoryPair pair = carrier::make_memory_pair(executor, kQueuedMessages);
  relay->links.push_back(pair.link);
  const SharedCarrier half = std::move(pair.second);
  if (target.what == "exit") {
    asio::co_spawn(executor, serve_exit(relay, half, url.authority(), std::move(target)),
                   net::RethrowFailure{});
  } else if (target.what == "client") {
    asio::co_spawn(executor, serve_client(relay, half, std::move(target)), net::RethrowFailure{});
  } else {
    asio::co_spawn(executor, serve_pair(relay, half, std::move(target)), net::RethrowFailure{});
  }
  co_return std::move(pair.first);
}

}  // namespace

const RelayPtr& MemoryRelays::at(const std::string& host) {
  auto& relay = relays_[host];
  if (!relay) relay = std::make_shared<Relay>();
  return relay;
}

void MemoryRelays::stop(const std::string& host) {
  at(host)->up = false;
  at(host)->cut();
}

void MemoryRelays::start(const std::string& host) {
  at(host)->up = true;
}

void MemoryRelays::cut(const std::string& host) {
  at(host)->cut();
}

void MemoryRelays::freeze(const std::string& host, bool on) {
  at(host)->frozen = on;
  for (const auto& link : at(host)->links) link->stall(on);
}

void MemoryRelays::cut_exits(const std::string& host) {
  for (auto& [room, exits] : std::exchange(at(host)->exits, {})) {
    for (auto& exit : exits) exit.carrier->abort();
  }
}

void MemoryRelays::set_path(const std::string& host, std::chrono::milliseconds delay,
                            std::uint64_t bytes_per_second) {
  at(host)->delay = delay;
  at(host)->bytes_per_second = bytes_per_second;
}

std::size_t MemoryRelays::dials(const std::string& host) {
  return at(host)->dials;
}

std::size_t MemoryRelays::pairs(const std::string& host) {
  return at(host)->pairs;
}

bool MemoryRelays::has_exit(const std::string& host) {
  const auto& exits = at(host)->exits;
  return std::ranges::any_of(exits, [](const auto& room) { return !room.second.empty(); });
}

Task<carrier::CarrierPtr> MemoryRelays::dial(asio::any_io_executor executor, RelayUrl relay,
                                             std::string target, std::chrono::milliseconds within) {
  const RelayPtr host = at(relay.host);
  return reach(host, std::move(executor), std::move(relay), parse(target), within);
}

}  // namespace zks::sim
