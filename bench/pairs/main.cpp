// SPDX-License-Identifier: MIT
//
// bench_pairs: many pairs at one relay, for scripts/bench relay. Reads a command a line and answers each with
// a line of JSON, so that whoever runs it can look at the relay in between:
//
//   hold N AT_ONCE        makes pairs until N are held, AT_ONCE at a time
//   busy N SECONDS        records of 64 KiB through N of them, from client to exit, as fast as they go with
//                         as much on its way as a session on such a short path has
//   rate SECONDS AT_ONCE  makes pairs and drops them
//   refused               joins once more, which has to be refused, and then uses a pair that is held
//
//   bench_pairs --relay wss://localhost:PORT --ca FILE --state DIRECTORY
#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "carrier/tls_client.hpp"
#include "net/wakeup.hpp"
#include "pair_source.hpp"
#include "session/lane_state.hpp"
#include "session/lane_window.hpp"

namespace zks::bench {
namespace {

using Clock = std::chrono::steady_clock;
using carrier::MessageType;
using Json = nlohmann::json;

// Bytes of a record as the ends send them under load: with its frame's header 64 KiB, which Asio writes at
// once.
constexpr std::size_t kMessage = session::kUsualFrames + crypto::kRecordOverhead;
constexpr std::size_t kLast = 1;  // bytes of the message that ends a busy time

Clock::duration seconds_of(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// What of a pair is on its way. Sockets may hold more than the relay's window, and the relay would give up.
struct Way {
  explicit Way(const asio::any_io_executor& executor) : room(executor) {}
  std::uint64_t bytes = 0;
  net::Wakeup room;
};
using WayPtr = std::shared_ptr<Way>;

class Rig {
 public:
  Rig(const RelayUrl& relay, std::shared_ptr<carrier::TlsTrust> trust, link::ExitIdentity identity)
      : source_(
            io_.get_executor(), relay, std::move(trust), std::move(identity), [this] { io_.stop(); },
            [this](const Error& why) { fail("the control line: " + why.text); }) {
    run();
  }

  Json hold(std::size_t count, int at_once) {
    const auto began = Clock::now();
    wanted_ = count;
    for (int i = 0; i < at_once; ++i) spawn(fill());
    run();
    return {{"pairs", pairs_.size()}, {"seconds", seconds_since(began)}};
  }

  Json busy(std::size_t count, double seconds) {
    if (count > pairs_.size()) throw std::runtime_error("so many are not held");
    bytes_ = 0;
    const auto began = Clock::now();
    const auto end = began + seconds_of(seconds);
    for (std::size_t i = 0; i < count; ++i) exchange(pairs_[i], end);
    run();
    return {{"bytes", bytes_}, {"seconds", seconds_since(began)}};
  }

  Json rate(double seconds, int at_once) {
    made_ = 0;
    const auto began = Clock::now();
    const auto end = began + seconds_of(seconds);
    for (int i = 0; i < at_once; ++i) spawn(make_until(end));
    run();
    return {{"pairs", made_}, {"seconds", seconds_since(began)}};
  }

  Json refused() {
    spawn(join_once());
    run();
    exchange(pairs_.front(), Clock::now());
    run();
    return {{"status", refusal_.detail}, {"text", refusal_.text}};
  }

 private:
  void fail(const std::string& text) {
    if (failure_.empty()) failure_ = text;
    io_.stop();
  }

  void spawn(asio::awaitable<void> task) {
    ++running_;
    asio::co_spawn(io_, std::move(task), [this](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
      if (--running_ == 0) io_.stop();
    });
  }

  // Until what was spawned has ended.
  void run() {
    io_.restart();
    io_.run();
    if (!failure_.empty()) throw std::runtime_error(failure_);
  }

  asio::awaitable<void> fill() {
    while (pairs_.size() + making_ < wanted_ && failure_.empty()) {
      ++making_;
      auto pair = co_await source_.make();
      --making_;
      if (!pair) co_return fail(pair.error().text);
      pairs_.push_back(std::move(*pair));
    }
  }

  asio::awaitable<void> make_until(Clock::time_point end) {
    while (Clock::now() < end && failure_.empty()) {
      const auto pair = co_await source_.make();
      if (!pair) co_return fail(pair.error().text);
      pair->client->carrier->abort();
      pair->exit->carrier->abort();
      if (Clock::now() < end) ++made_;
    }
  }

  asio::awaitable<void> join_once() {
    const auto pair = co_await source_.make();
    if (pair) co_return fail("it was not refused");
    refusal_ = pair.error();
  }

  void exchange(const Pair& pair, Clock::time_point end) {
    const auto way = std::make_shared<Way>(io_.get_executor());
    spawn(send_until(pair.client, way, end));
    spawn(receive_all(pair.exit, way));
  }

  asio::awaitable<void> send_until(HalfPtr half, WayPtr way, Clock::time_point end) {
    const Bytes message(kMessage);
    while (Clock::now() < end) {
      while (way->bytes + kMessage > session::LaneWindow::kShortPathBytes) co_await way->room.wait();
      way->bytes += kMessage;
      const auto sent = co_await half->carrier->write(MessageType::kBinary, message);
      if (!sent) co_return fail("sending: " + sent.error().text);
    }
    const auto sent = co_await half->carrier->write(MessageType::kBinary, ByteView(message).first(kLast));
    if (!sent) fail("sending: " + sent.error().text);
  }

  asio::awaitable<void> receive_all(HalfPtr half, WayPtr way) {
    carrier::Buffer buffer;
    do {
      const auto got = co_await tunnel::read_binary(*half->carrier, buffer);
      if (!got) co_return fail("receiving: " + got.error().text);
      bytes_ += buffer.size();
      way->bytes -= std::min<std::uint64_t>(way->bytes, buffer.size());
      way->room.notify();
    } while (buffer.size() != kLast);
  }

  asio::io_context io_{1};
  std::vector<Pair> pairs_;
  std::size_t wanted_ = 0, making_ = 0, made_ = 0, running_ = 0;
  std::uint64_t bytes_ = 0;
  std::string failure_;
  Error refusal_;
  PairSource source_;
};

Json obey(Rig& rig, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  double first = 0, second = 0;
  words >> command >> first >> second;
  if (command == "hold") return rig.hold(static_cast<std::size_t>(first), static_cast<int>(second));
  if (command == "busy") return rig.busy(static_cast<std::size_t>(first), second);
  if (command == "rate") return rig.rate(first, static_cast<int>(second));
  if (command == "refused") return rig.refused();
  throw std::runtime_error("no such command");
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text);
  return std::move(*result);
}

}  // namespace
}  // namespace zks::bench

int main(int argc, char** argv) {
  using namespace zks;
  std::string relay, ca_file, state;
  CLI::App app("Pairs at a relay, for scripts/bench relay");
  app.add_option("--relay", relay)->required();
  app.add_option("--ca", ca_file)->required();
  app.add_option("--state", state, "a directory for the exit's keys")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    bench::raise_descriptor_limit();
    auto directory = bench::need(link::StateDirectory::open(state));
    bench::Rig rig(bench::need(parse_relay_url(relay)),
                   bench::need(carrier::TlsTrust::make(ca_file, std::nullopt)),
                   bench::need(directory.load_or_create_exit_identity()));
    for (std::string line; std::getline(std::cin, line);) std::cout << bench::obey(rig, line) << std::endl;
    std::_Exit(0);  // thousands of sockets need no orderly end
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_pairs: %s\n", error.what());
    return 1;
  }
}
