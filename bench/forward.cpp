// SPDX-License-Identifier: MIT
//
// bench_forward: what a hop costs at least. Reads from one socket and writes to the other, a blocking thread
// for each direction; no splice(), no encryption. Three in a row, the last of them a SOCKS5 server, are the
// limit that scripts/bench compares with. Prints its port, and serves until it is killed.
//
//   bench_forward (--to PORT | --socks5)
#include <array>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <sys/socket.h>

#include "load/socket.hpp"

namespace zks::bench {
namespace {

constexpr std::size_t kBlock = 64 * 1024;

void copy(const std::shared_ptr<Socket>& from, const std::shared_ptr<Socket>& to) {
  std::vector<char> block(kBlock);
  for (;;) {
    const ssize_t got = from->receive(block.data(), block.size());
    if (got == 0) return to->finish();
    if (got < 0 || !to->send_all(block.data(), static_cast<std::size_t>(got))) break;
  }
  from->shut_down();
  to->shut_down();
}

// CONNECT to an IPv4 address without a password, the one form that bench_load asks for.
std::optional<Endpoint> read_socks5(const Socket& socket) {
  std::array<char, 3> greeting{};
  const std::array<char, 2> method{5, 0};
  std::array<char, 10> request{};
  if (!socket.receive_all(greeting.data(), greeting.size()) || greeting[0] != 5 || greeting[1] != 1 ||
      !socket.send_all(method.data(), method.size()) || !socket.receive_all(request.data(), request.size()) ||
      request[1] != 1 || request[3] != 1) {
    return std::nullopt;
  }
  std::array<char, INET_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET, &request[4], text.data(), text.size());
  std::uint16_t port = 0;
  std::memcpy(&port, &request[8], 2);
  return Endpoint{text.data(), ntohs(port)};
}

void serve(const std::shared_ptr<Socket>& near, const Endpoint& fixed) {
  near->no_delay();
  try {
    Endpoint target = fixed;
    if (fixed.port == 0) {
      const auto wanted = read_socks5(*near);
      if (!wanted) return;
      target = *wanted;
    }
    const auto far = std::make_shared<Socket>(connect_to(target));
    const std::array<char, 10> reply{5, 0, 0, 1};
    if (fixed.port == 0 && !near->send_all(reply.data(), reply.size())) return;
    std::thread(copy, far, near).detach();  // its sockets are its own; it ends with them
    copy(near, far);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_forward: %s\n", error.what());
  }
}

int forward(const Endpoint& fixed) {
  const Socket listener = listen_at({});
  std::printf("%u\n", local_port(listener));
  std::fflush(stdout);
  for (;;) {
    const int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return 1;
    std::thread(serve, std::make_shared<Socket>(fd), fixed).detach();
  }
}

}  // namespace
}  // namespace zks::bench

int main(int argc, char** argv) {
  zks::bench::Endpoint fixed;
  CLI::App app("A plain forwarder, the limit that scripts/bench compares with");
  auto* choice = app.add_option_group("where to")->require_option(1);
  choice->add_option("--to", fixed.port, "127.0.0.1:PORT")->check(CLI::Range(1, 65535));
  choice->add_flag("--socks5")->description("where each connection asks for");
  CLI11_PARSE(app, argc, argv);
  try {
    return zks::bench::forward(fixed);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_forward: %s\n", error.what());
    return 1;
  }
}
