// SPDX-License-Identifier: MIT
//
// bench_load, the load of scripts/bench: one process that is both ends of the connections it measures, client
// through a SOCKS5 proxy and server behind it, so that bytes are counted where they arrive and times are read
// from one clock. Blocking sockets, a thread for each end of a connection: the cheapest source there is.
// Prints one line of JSON.
//
//   bench_load --proxy-port PORT --mode down|up|both|echo|connect|rate|datagrams
//              [--streams N] [--seconds S] [--count N] [--bulk down|up] [--serve-at IP --serve-in NETNS-FILE]
//
// Without --proxy-port it connects to itself directly: what the machine does without anything between.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "datagrams.hpp"
#include "pump.hpp"
#include "server.hpp"
#include "socket.hpp"

namespace zks::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;

struct Options {
  std::string mode;
  Endpoint proxy;
  std::string serve_at = "127.0.0.1";
  std::string serve_in;
  int streams = 1;
  double seconds = 3;
  double warm_up = 1;
  int count = 1000;
  std::string bulk;  // echo beside a bulk stream this way
  DatagramLoad datagrams;
};

void send_role(const Socket& socket, Role role) {
  const char first = static_cast<char>(role);
  if (!socket.send_all(&first, 1)) throw std::runtime_error("the connection ended");
}

Socket open_echo(const Options& options, const Server& server) {
  Socket socket = connect_through(options.proxy, server.endpoint());
  send_role(socket, Role::kEcho);
  return socket;
}

// Streams that are busy from start() until the object goes. What arrives, at either end, is in the server's
// received(). All are open before the first is busy, since one that nobody reads yet would hold up the
// others.
class Bulk {
 public:
  Bulk(const Options& options, Server& server)
      : options_(options), server_(server), pump_(server.received()) {}

  void open(bool down, int streams) {
    for (int i = 0; i < streams; ++i) {
      waiting_.emplace_back(connect_through(options_.proxy, server_.endpoint()), down);
    }
  }

  void start() {
    for (auto& [socket, down] : waiting_) {
      send_role(socket, down ? Role::kSource : Role::kSink);
      pump_.add(std::move(socket), !down);
    }
    waiting_.clear();
  }

 private:
  const Options& options_;
  Server& server_;
  std::vector<std::pair<Socket, bool>> waiting_;  // and whether the server is to send
  Pump pump_;
};

// For whoever looks at other processes from here to there.
void tell(const char* what) {
  std::puts(what);
  std::fflush(stdout);
}

void run_throughput(const Options& options, Server& server) {
  std::uint64_t bytes = 0;
  double took = 0;
  {
    Bulk bulk(options, server);
    if (options.mode != "up") bulk.open(true, options.streams);
    if (options.mode != "down") bulk.open(false, options.streams);
    bulk.start();
    std::this_thread::sleep_for(duration<double>(options.warm_up));
    tell("measuring");
    const auto began = Clock::now();
    const std::uint64_t before = server.received();
    std::this_thread::sleep_for(duration<double>(options.seconds));
    bytes = server.received() - before;
    took = duration<double>(Clock::now() - began).count();
    tell("measured");
  }
  std::printf("{\"bytes\": %llu, \"seconds\": %.3f, \"gbit_s\": %.4f}\n",
              static_cast<unsigned long long>(bytes), took, static_cast<double>(bytes) * 8 / took / 1e9);
}

void print_percentiles(std::vector<double> microseconds) {
  std::sort(microseconds.begin(), microseconds.end());
  const auto at = [&](double share) {
    return microseconds[static_cast<std::size_t>(share * static_cast<double>(microseconds.size() - 1))];
  };
  std::printf("{\"count\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", microseconds.size(), at(0.5),
              at(0.99));
}

void exchange(const Socket& socket) {
  char message[kEchoMessage] = {};
  if (!socket.send_all(message, sizeof message) || !socket.receive_all(message, sizeof message)) {
    throw std::runtime_error("the connection ended");
  }
}

double microseconds_since(Clock::time_point began) {
  return duration<double, std::micro>(Clock::now() - began).count();
}

// 64-byte messages there and back on one connection, one at a time; beside a bulk stream where there is one.
void run_echo(const Options& options, Server& server) {
  Bulk bulk(options, server);
  if (!options.bulk.empty()) {
    bulk.open(options.bulk == "down", 1);
    bulk.start();
    std::this_thread::sleep_for(duration<double>(options.warm_up));
  }
  const Socket socket = open_echo(options, server);
  std::vector<double> times;
  for (int i = -options.count / 10; i < options.count; ++i) {  // the first tenth is warm-up
    const auto began = Clock::now();
    exchange(socket);
    if (i >= 0) times.push_back(microseconds_since(began));
  }
  print_percentiles(std::move(times));
}

// From connect() to the proxy until the first message is back, each time on a new connection.
void run_connect(const Options& options, Server& server) {
  std::vector<double> times;
  for (int i = -options.count / 10; i < options.count; ++i) {
    const auto began = Clock::now();
    exchange(open_echo(options, server));
    if (i >= 0) times.push_back(microseconds_since(began));
  }
  print_percentiles(std::move(times));
}

// The same by `streams` threads at once: how many a second.
void run_rate(const Options& options, Server& server) {
  std::atomic<std::uint64_t> done = 0;
  std::atomic<bool> over = false, failed = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < options.streams; ++i) {
    threads.emplace_back([&] {
      try {
        for (; !over; ++done) exchange(open_echo(options, server));
      } catch (const std::exception&) {
        failed = true;
      }
    });
  }
  std::this_thread::sleep_for(duration<double>(options.warm_up));
  const auto began = Clock::now();
  const std::uint64_t before = done;
  std::this_thread::sleep_for(duration<double>(options.seconds));
  const double rate = static_cast<double>(done - before) / duration<double>(Clock::now() - began).count();
  over = true;
  for (auto& thread : threads) thread.join();
  if (failed) throw std::runtime_error("a connection failed");
  std::printf("{\"connects_s\": %.1f}\n", rate);
}

void run(const Options& options) {
  if (options.mode == "datagrams") return run_datagrams(options.proxy, options.datagrams);
  Server server(options.serve_at, options.serve_in);
  if (options.mode == "echo") return run_echo(options, server);
  if (options.mode == "connect") return run_connect(options, server);
  if (options.mode == "rate") return run_rate(options, server);
  run_throughput(options, server);
}

}  // namespace
}  // namespace zks::bench

int main(int argc, char** argv) {
  zks::bench::Options options;
  CLI::App app("The load of scripts/bench");
  app.add_option("--mode", options.mode)
      ->required()
      ->check(CLI::IsMember({"down", "up", "both", "echo", "connect", "rate", "datagrams"}));
  app.add_option("--proxy-port", options.proxy.port, "SOCKS5 proxy; none: direct");
  app.add_option("--proxy-address", options.proxy.address)->capture_default_str();
  app.add_option("--serve-at", options.serve_at, "the far end's address")->capture_default_str();
  app.add_option("--serve-in", options.serve_in, "the far end's network namespace, /run/netns/NAME");
  app.add_option("--streams", options.streams, "at once, each way")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 600.0))->capture_default_str();
  app.add_option("--warm-up", options.warm_up, "seconds before measuring")->capture_default_str();
  app.add_option("--count", options.count, "exchanges of echo and connect")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str();
  app.add_option("--bulk", options.bulk, "echo: a bulk stream beside it")
      ->check(CLI::IsMember({"down", "up"}));
  app.add_option("--mbit", options.datagrams.mbit_s, "datagrams: Mbit/s")->capture_default_str();
  app.add_option("--size", options.datagrams.size, "datagrams: bytes")->check(CLI::Range(4, 65000));
  CLI11_PARSE(app, argc, argv);
  options.datagrams.seconds = options.seconds;
  try {
    zks::bench::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_load: %s\n", error.what());
    return 1;
  }
  return 0;
}
