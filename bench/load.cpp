// SPDX-License-Identifier: MIT
//
// The load of bench/run: one process that is both ends of the connections it measures, client through a
// SOCKS5 proxy and server behind it, so that bytes are counted where they arrive and times are read from one
// clock. Blocking sockets, a thread for each end of a connection: the cheapest source there is. Prints one
// line of JSON.
//
//   bench_load --proxy-port PORT --mode down|up|echo|connect [--streams N] [--seconds S] [--count N]
//
// Without --proxy-port it connects to itself directly: what the machine does without anything between.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;

constexpr std::size_t kBlock = 256 * 1024;
constexpr std::size_t kEchoMessage = 64;

// The first byte of a connection tells the server what to do with it.
enum class Role : char { kSource = 'D', kSink = 'U', kEcho = 'E' };

std::atomic<std::uint64_t> received_bytes{0};

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    if (fd_ < 0) throw std::runtime_error(std::string("socket: ") + std::strerror(errno));
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const { return fd_; }
  void no_delay() const {
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  void shut_down() const { ::shutdown(fd_, SHUT_RDWR); }

  // False at the end of the connection, whatever ended it.
  bool send_all(const char* data, std::size_t size) const {
    while (size > 0) {
      const ssize_t sent = ::send(fd_, data, size, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      data += sent;
      size -= static_cast<std::size_t>(sent);
    }
    return true;
  }
  bool receive_all(char* data, std::size_t size) const {
    while (size > 0) {
      const ssize_t got = ::recv(fd_, data, size, 0);
      if (got <= 0) return false;
      data += got;
      size -= static_cast<std::size_t>(got);
    }
    return true;
  }

 private:
  int fd_;
};

void send_without_end(const Socket& socket) {
  const std::vector<char> block(kBlock, 'z');
  while (socket.send_all(block.data(), block.size())) {
  }
}

void count_until_end(const Socket& socket) {
  std::vector<char> block(kBlock);
  for (;;) {
    const ssize_t got = ::recv(socket.fd(), block.data(), block.size(), 0);
    if (got <= 0) return;
    received_bytes.fetch_add(static_cast<std::uint64_t>(got), std::memory_order_relaxed);
  }
}

void echo_until_end(const Socket& socket) {
  char message[kEchoMessage];
  while (socket.receive_all(message, sizeof message) && socket.send_all(message, sizeof message)) {
  }
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The server behind the proxy. Its threads end with their connections, before it does.
class Server {
 public:
  Server() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.fd(), generic, size) != 0 || ::listen(listener_.fd(), 1024) != 0 ||
        ::getsockname(listener_.fd(), generic, &size) != 0) {
      throw std::runtime_error("cannot listen on loopback");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_until_end(); });
  }
  ~Server() {
    listener_.shut_down();
    acceptor_.join();
    for (auto& connection : connections_) connection.join();
  }

  std::uint16_t port() const { return port_; }

 private:
  void accept_until_end() {
    for (;;) {
      const int fd = ::accept(listener_.fd(), nullptr, nullptr);
      if (fd < 0) return;
      connections_.emplace_back(serve, Socket(fd));
    }
  }

  static void serve(Socket socket) {
    socket.no_delay();
    char role = 0;
    if (!socket.receive_all(&role, 1)) return;
    switch (static_cast<Role>(role)) {
      case Role::kSource:
        return send_without_end(socket);
      case Role::kSink:
        return count_until_end(socket);
      case Role::kEcho:
        return echo_until_end(socket);
    }
  }

  Socket listener_;
  std::uint16_t port_ = 0;
  std::thread acceptor_;
  std::vector<std::thread> connections_;  // touched by the acceptor, and after it was joined
};

Socket connect_to(std::uint16_t port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect to port " + std::to_string(port));
  }
  socket.no_delay();
  return socket;
}

// RFC 1928 CONNECT to 127.0.0.1:`port`. `proxy` 0: no proxy.
Socket open_connection(std::uint16_t proxy, std::uint16_t port, Role role) {
  Socket socket = connect_to(proxy != 0 ? proxy : port);
  if (proxy != 0) {
    const char greeting[] = {5, 1, 0};
    const char request[] = {5, 1, 0, 1, 127, 0, 0, 1, static_cast<char>(port >> 8), static_cast<char>(port)};
    char method[2];
    char reply[10];
    if (!socket.send_all(greeting, sizeof greeting) || !socket.receive_all(method, sizeof method) ||
        method[1] != 0 || !socket.send_all(request, sizeof request) ||
        !socket.receive_all(reply, sizeof reply) || reply[1] != 0 || reply[3] != 1) {
      throw std::runtime_error("the proxy refused to connect");
    }
  }
  const char first = static_cast<char>(role);
  if (!socket.send_all(&first, 1)) throw std::runtime_error("the connection ended");
  return socket;
}

struct Options {
  std::string mode;
  std::uint16_t proxy = 0;
  int streams = 1;
  double seconds = 3;
  double warm_up = 1;
  int count = 1000;
};

void run_throughput(const Options& options, const Server& server) {
  const bool down = options.mode == "down";
  std::vector<Socket> sockets;
  for (int i = 0; i < options.streams; ++i) {
    sockets.push_back(open_connection(options.proxy, server.port(), down ? Role::kSource : Role::kSink));
  }
  std::vector<std::thread> threads;
  for (const Socket& socket : sockets) {
    threads.emplace_back(down ? count_until_end : send_without_end, std::cref(socket));
  }
  std::this_thread::sleep_for(duration<double>(options.warm_up));
  const auto began = Clock::now();
  const std::uint64_t before = received_bytes.load();
  std::this_thread::sleep_for(duration<double>(options.seconds));
  const std::uint64_t bytes = received_bytes.load() - before;
  const double took = duration<double>(Clock::now() - began).count();
  for (const Socket& socket : sockets) socket.shut_down();
  for (auto& thread : threads) thread.join();
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

// 64-byte messages there and back on one connection, one at a time.
void run_echo(const Options& options, const Server& server) {
  const Socket socket = open_connection(options.proxy, server.port(), Role::kEcho);
  std::vector<double> times;
  for (int i = -options.count / 10; i < options.count; ++i) {  // the first tenth is warm-up
    const auto began = Clock::now();
    exchange(socket);
    if (i >= 0) times.push_back(microseconds_since(began));
  }
  print_percentiles(std::move(times));
}

// From connect() to the proxy until the first message is back, each time on a new connection.
void run_connect(const Options& options, const Server& server) {
  std::vector<double> times;
  for (int i = -options.count / 10; i < options.count; ++i) {
    const auto began = Clock::now();
    exchange(open_connection(options.proxy, server.port(), Role::kEcho));
    if (i >= 0) times.push_back(microseconds_since(began));
  }
  print_percentiles(std::move(times));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("The load of bench/run");
  app.add_option("--mode", options.mode)->required()->check(CLI::IsMember({"down", "up", "echo", "connect"}));
  app.add_option("--proxy-port", options.proxy, "SOCKS5 proxy on 127.0.0.1; none: direct");
  app.add_option("--streams", options.streams)->check(CLI::Range(1, 256))->capture_default_str();
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 600.0))->capture_default_str();
  app.add_option("--warm-up", options.warm_up, "seconds before measuring")->capture_default_str();
  app.add_option("--count", options.count, "exchanges of echo and connect")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const Server server;
    if (options.mode == "echo") {
      run_echo(options, server);
    } else if (options.mode == "connect") {
      run_connect(options, server);
    } else {
      run_throughput(options, server);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_load: %s\n", error.what());
    return 1;
  }
  return 0;
}
