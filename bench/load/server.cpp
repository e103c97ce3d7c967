// SPDX-License-Identifier: MIT
#include "server.hpp"

#include <stdexcept>

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

namespace zks::bench {
namespace {

// A socket stays in the namespace in which it was made; the thread that made it ends.
Socket listen_in(const Endpoint& endpoint, const std::string& netns) {
  if (netns.empty()) return listen_at(endpoint);
  int fd = -1;
  std::thread maker([&] {
    const int place = ::open(netns.c_str(), O_RDONLY | O_CLOEXEC);
    if (place < 0) return;
    if (::setns(place, CLONE_NEWNET) == 0) {
      try {
        const Socket made = listen_at(endpoint);
        fd = ::dup(made.fd());
      } catch (const std::exception&) {
        fd = -1;
      }
    }
    ::close(place);
  });
  maker.join();
  if (fd < 0) throw std::runtime_error("cannot listen in " + netns);
  return Socket(fd);
}

void echo_until_end(const Socket& socket) {
  char message[kEchoMessage];
  while (socket.receive_all(message, sizeof message) && socket.send_all(message, sizeof message)) {
  }
}

}  // namespace

Server::Server(const std::string& address, const std::string& netns)
    : endpoint_{address, 0}, listener_(listen_in(endpoint_, netns)), pump_(received_) {
  endpoint_.port = local_port(listener_);
  acceptor_ = std::thread([this] { accept_until_end(); });
}

Server::~Server() {
  listener_.shut_down();
  acceptor_.join();
  for (Connection& connection : connections_) connection.socket.shut_down();
  for (Connection& connection : connections_) connection.thread.join();
}

void Server::accept_until_end() {
  for (;;) {
    const int fd = ::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    // So that a run with many short connections holds only those that still live.
    for (auto it = connections_.begin(); it != connections_.end();) {
      if (!it->over) {
        ++it;
        continue;
      }
      it->thread.join();
      it = connections_.erase(it);
    }
    Connection& connection = connections_.emplace_back(Socket(fd));
    connection.thread = std::thread([this, &connection] {
      serve(connection);
      connection.socket.shut_down();
      connection.over = true;
    });
  }
}

void Server::serve(Connection& connection) {
  connection.socket.no_delay();
  char role = 0;
  if (!connection.socket.receive_all(&role, 1)) return;
  switch (static_cast<Role>(role)) {
    case Role::kSource:
      return pump_.add(std::move(connection.socket), true);
    case Role::kSink:
      return pump_.add(std::move(connection.socket), false);
    case Role::kEcho:
      return echo_until_end(connection.socket);
  }
}

}  // namespace zks::bench
